//! The table behind `users.file`: one row per user, as CSV, JSON Lines or a JSON array of objects.
//!
//! Pure: what the file holds and what of it is secret is told, not looked up. What is wrong with it is said by its line or
//! row, never by what stands there.

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::identity::UserNumber;

/// The column that says which users share their data.
pub const GROUP: &str = "group";

/// What a cell says, as text.
pub fn text(cell: &Json) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}

/// Users as a file lists them. User 1 is its first row, whatever the first user's number is.
#[derive(Clone)]
pub struct People {
    columns: Vec<String>,
    secret: Vec<bool>,
    rows: Vec<Vec<Json>>,
}

/// Rows are not shown: they hold secrets.
impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").field("columns", &self.columns).field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl People {
    /// Reads a table; `is_secret` says of a column whether its values must not be shown. What begins with `[` is a JSON
    /// array, what begins with `{` JSON Lines, anything else CSV (RFC 4180) with the columns in its first line, unless they are given.
    /// An empty cell of CSV and a `null` are no value.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a fragment.
    pub fn read(bytes: &[u8], columns: Option<&[String]>, is_secret: impl Fn(&str) -> bool) -> Result<People, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}');
        let (columns, rows) = match text.trim_start().chars().next() {
            None => return Err("is empty".to_owned()),
            Some('[' | '{') if columns.is_some() => {
                return Err("is JSON, whose rows name their columns themselves".to_owned());
            }
            Some('[') => {
                let rows: Vec<Map<String, Json>> = serde_json::from_str(text)
                    .map_err(|error| format!("is no JSON array of objects (line {})", error.line()))?;
                of_objects(rows)
            }
            Some('{') => {
                let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
                let row = |(at, line)| {
                    serde_json::from_str(line).map_err(|_| format!("has no JSON object in its line {}", at + 1))
                };
                of_objects(lines.map(row).collect::<Result<_, _>>()?)
            }
            Some(_) => of_csv(text, columns)?,
        };
        if let Some(column) = columns.iter().find(|name| ["index", "number"].contains(&name.as_str())) {
            return Err(format!("has a column `{column}`, which is the harness's own name"));
        }
        let secret = columns.iter().map(|name| is_secret(name)).collect();
        Ok(People { columns, secret, rows })
    }

    /// The group of a user.
    pub fn group(&self, user: UserNumber) -> Option<String> {
        self.of(user).find(|(column, ..)| *column == GROUP).map(|(_, cell, _)| text(cell))
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// There is nobody.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the columns, in the order of the file.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// Column, value and whether it is secret, for every value that the user has.
    pub fn of(&self, user: UserNumber) -> impl Iterator<Item = (&str, &Json, bool)> {
        let row = (user.0 as usize).checked_sub(1).and_then(|row| self.rows.get(row)).into_iter().flatten();
        let cells = self.columns.iter().zip(&self.secret).zip(row);
        cells.filter(|(_, value)| !value.is_null()).map(|((name, secret), value)| (name.as_str(), value, *secret))
    }
}

type Table = (Vec<String>, Vec<Vec<Json>>);

fn of_objects(objects: Vec<Map<String, Json>>) -> Table {
    let mut columns: Vec<String> = Vec::new();
    for name in objects.iter().flat_map(Map::keys) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let row =
        |mut object: Map<String, Json>| columns.iter().map(|name| object.remove(name).unwrap_or(Json::Null)).collect();
    let rows = objects.into_iter().map(row).collect();
    (columns, rows)
}

fn of_csv(text: &str, given: Option<&[String]>) -> Result<Table, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(given.is_none()).from_reader(text.as_bytes());
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        format!("has another number of values in its line {line} than columns in its first")
    };
    let columns: Vec<String> = match given {
        Some(given) => given.to_vec(),
        None => reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_owned()).collect(),
    };
    if let Some(twice) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
        return Err(format!("names the column `{}` twice", twice.1));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let cell = |cell: &str| if cell.is_empty() { Json::Null } else { Json::from(cell) };
        let row: Vec<Json> = record.map_err(wrong)?.iter().map(cell).collect();
        if row.len() != columns.len() {
            return Err(format!("has {} values in a line, and `columns` names {}", row.len(), columns.len()));
        }
        rows.push(row);
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<People, String> {
        People::read(text.as_bytes(), None, |name| name == "token")
    }

    fn of(text: &str, user: u32) -> Vec<(String, Json, bool)> {
        let people = read(text).expect("a table");
        people.of(UserNumber(user)).map(|(name, value, secret)| (name.to_owned(), value.clone(), secret)).collect()
    }

    #[test]
    fn the_three_formats_say_the_same_and_json_keeps_its_types() {
        let csv = "\u{feff}email, token\n\"a,b@x\",t1\r\nc@x,\n";
        assert_eq!(of(csv, 1), [("email".into(), "a,b@x".into(), false), ("token".into(), "t1".into(), true)]);
        assert_eq!(of(csv, 2), [("email".into(), "c@x".into(), false)], "an empty cell is no value");
        assert_eq!(of(csv, 3), []);
        assert_eq!(of(csv, 0), []);
        let lines = "{\"email\": \"a\", \"n\": 7}\n\n{\"token\": {\"a\": 1}, \"email\": null}\n";
        assert_eq!(of(lines, 1), [("email".into(), "a".into(), false), ("n".into(), 7.into(), false)]);
        assert_eq!(of(lines, 2), [("token".into(), serde_json::json!({"a": 1}), true)]);
        assert_eq!(of("[{\"n\": 1}, {\"n\": 2}]", 2), [("n".into(), 2.into(), false)]);
    }

    #[test]
    fn columns_may_be_named_elsewhere_than_in_the_first_line() {
        let columns = ["email".to_owned(), "token".to_owned()];
        let read = |text: &str| People::read(text.as_bytes(), Some(&columns), |name| name == "token");
        let people = read("a@x,t1\nb@x,t2\n").expect("a table");
        let second: Vec<_> = people.of(UserNumber(2)).map(|(name, value, _)| (name, value.as_str().unwrap())).collect();
        assert_eq!((people.len(), second), (2, vec![("email", "b@x"), ("token", "t2")]));
        let wrong = |text: &str| read(text).map(drop).expect_err("a mistake");
        assert_eq!(wrong("a@x,t1,more\n"), "has 3 values in a line, and `columns` names 2");
        assert_eq!(wrong("[{}]"), "is JSON, whose rows name their columns themselves");
    }

    #[test]
    fn what_is_wrong_is_said_by_its_line_and_never_by_what_stands_there() {
        for (text, expected) in [
            ("", "is empty"),
            ("a,b\n1,2\nsecret\n", "has another number of values in its line 3 than columns in its first"),
            ("a,a\n", "names the column `a` twice"),
            ("number\n1\n", "has a column `number`, which is the harness's own name"),
            ("{\"a\": 1}\n{\"a\": secret}\n", "has no JSON object in its line 2"),
            ("[{\"a\": 1},\n 7]", "is no JSON array of objects (line 2)"),
        ] {
            assert_eq!(read(text).map(drop).expect_err("a mistake"), expected, "{text:?}");
        }
        assert_eq!(People::read(&[0xff], None, |_| true).map(drop), Err("is not UTF-8".to_owned()));
        assert_eq!(format!("{:?}", read("token\nt1\n").unwrap()), "People { columns: [\"token\"], rows: 1, .. }");
    }
}
