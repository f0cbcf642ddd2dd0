#!/bin/sh
# Becomes goldenpath doing what a runner asks of any client: GP_USERS users of GP_REQS requests each against the server at
# GP_ADDR, GP_HOLD_S seconds after all are connected and GP_THINK_S seconds apart. The report lies in `report` beside GP_OUT.
# Users begin as fast as they may: GP_RAMP_S is not followed.
# GOLDENPATH is the program, GP_RECORD what it records (its own default without a word). It measures nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
set -- run "$here/scenario.yaml" --url "http://$GP_ADDR" --users "$GP_USERS" --set "load.closed.iterations=$GP_REQS" \
    --record "${GP_RECORD:-auto}" --out "${GP_OUT%/*}/report" --quiet
[ "$GP_USERS" != 1 ] || set -- "$@" --set expect.isolation.required=false
[ "$GP_THINK_S" = 0.0 ] || set -- "$@" --set "load.closed.think_time=${GP_THINK_S}s"
# Without a hold each user asks as soon as he is greeted, as clients do that know nothing of one another.
case $GP_HOLD_S in
0.0) set -- "$@" --set load.closed.together=false ;;
*) set -- "$@" --set "load.hold=${GP_HOLD_S}s" ;;
esac
exec "${GOLDENPATH:-goldenpath}" "$@"
