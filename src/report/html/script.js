
"use strict";
// Filters and the frame under the pointer. The page is complete without this. Only text is ever put into it, never markup.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const wanted = { rule: "", user: "", run: "" };
  const boxes = all("[data-rule]");
  const items = all("[data-user]");

  const fits = item =>
    (!wanted.user || item.dataset.user.split(" ").includes(wanted.user)) && (!wanted.run || item.dataset.run === wanted.run);

  const shown = make("span", "");
  const apply = () => {
    for (const item of items) {
      // Other users of a drawing stay, faintly: they are what the finding is seen against.
      if (item.closest("svg")) item.classList.toggle("off", !fits(item));
      else item.hidden = !fits(item);
    }
    for (const box of boxes) {
      const inside = box.hasAttribute("data-user") ? [box] : all("[data-user]", box);
      box.hidden = (wanted.rule && box.dataset.rule !== wanted.rule) ||
        ((wanted.user || wanted.run) && !inside.some(fits));
    }
    const findings = all("article[data-rule]");
    const visible = findings.filter(finding => !finding.hidden).length;
    shown.textContent = visible + " of " + findings.length + " rules with findings shown";
  };

  const select = (key, values) => {
    const label = make("label", key + " ");
    const list = document.createElement("select");
    list.name = key;
    list.append(Object.assign(make("option", "all"), { value: "" }));
    for (const value of values) list.append(Object.assign(make("option", value), { value }));
    list.addEventListener("change", () => { wanted[key] = list.value; apply(); });
    label.append(list);
    return label;
  };

  const unique = values => [...new Set(values)].filter(value => value);
  const bar = document.getElementById("filter");
  if (bar) {
    const rules = unique(boxes.map(box => box.dataset.rule)).sort();
    const users = unique(items.flatMap(item => item.dataset.user.split(" "))).sort((a, b) => a - b);
    const runs = unique(items.map(item => item.dataset.run ?? "")).sort();
    bar.append(make("strong", "Show"), select("rule", rules), select("user", users), select("run", runs), shown);
    bar.hidden = ![rules, users, runs].some(values => values.length > 1);
    apply();
  }

  const frame = document.getElementById("frame");
  const tips = all("[data-tip]");
  for (const tip of tips) {
    // The browser's own tip would lie over ours.
    for (const title of all("title", tip)) title.remove();
    tip.setAttribute("aria-label", tip.dataset.tip);
    const show = () => {
      frame.replaceChildren(make("strong", tip.dataset.tip));
      if (tip.dataset.frame) frame.append(make("pre", tip.dataset.frame));
      frame.hidden = false;
      const box = tip.getBoundingClientRect();
      const room = document.documentElement;
      frame.style.left = Math.max(4, Math.min(box.left, room.clientWidth - frame.offsetWidth - 8)) + "px";
      const below = box.bottom + 10;
      frame.style.top = (below + frame.offsetHeight < room.clientHeight ? below : Math.max(4, box.top - frame.offsetHeight - 10)) + "px";
    };
    const hide = () => { frame.hidden = true; };
    tip.addEventListener("mouseenter", show);
    tip.addEventListener("mouseleave", hide);
    tip.addEventListener("focus", show);
    tip.addEventListener("blur", hide);
  }
})();
