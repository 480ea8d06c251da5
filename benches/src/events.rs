//! Events like real ones, for benches: few users make most of them, with 25 properties, Unicode, nesting, hexadecimal
//! numbers and UUIDs, and a fifth of them without a person. They depend on nothing but their day, their number in it
//! and how many it has.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};

use crate::job::START_MICROS;

/// Rows of a batch, as a source supplies them.
pub const BATCH_ROWS: u64 = 4_096;
/// The columns of the model `events`, in its order.
const TEXTS: [&str; 7] = [
    "uuid",
    "event",
    "distinct_id",
    "person_id",
    "properties",
    "person_properties",
    "elements_chain",
];
const TIMES: [&str; 3] = ["timestamp", "created_at", "_inserted_at"];

const DAY_MICROS: u64 = 86_400_000_000;
/// How long a user keeps a session.
const SESSION_MICROS: u64 = 1_800_000_000;
const USERS: u64 = 20_000;

const NAMES: [&str; 8] = [
    "$pageview",
    "$pageview",
    "$pageview",
    AUTOCAPTURE,
    AUTOCAPTURE,
    "$pageleave",
    "$feature_flag_called",
    "signed up",
];
const AUTOCAPTURE: &str = "$autocapture";
const SYSTEMS: [(&str, &str, &str); 5] = [
    ("Chrome", "Windows", "Desktop"),
    ("Safari", "Mac OS X", "Desktop"),
    ("Mobile Safari", "iOS", "Mobile"),
    ("Firefox", "Linux", "Desktop"),
    ("Chrome", "Android", "Mobile"),
];
const SCREENS: [(u64, u64); 4] = [(1366, 768), (1440, 900), (1920, 1080), (2560, 1440)];
const CITIES: [&str; 8] = [
    "Berlin",
    "São Paulo",
    "東京",
    "Zürich",
    "New York",
    "København",
    "Kraków",
    "Москва",
];
const GIVEN_NAMES: [&str; 8] = ["Ada", "Zoë", "José", "Łukasz", "美咲", "Søren", "Мария", "Noor"];
const PATHS: [&str; 6] = [
    "/",
    "/pricing",
    "/docs/getting-started",
    "/app/dashboard/",
    "/app/project/insights/",
    "/blog/post-",
];
const WORDS: [&str; 10] = [
    "data", "product", "team", "flag", "funnel", "cohort", "replay", "invoice", "export", "query",
];

/// The events of one day, evenly spread by when they arrived.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// Counted from the first one.
    pub number: u64,
    pub rows: u64,
}

impl Day {
    /// All batches, in order.
    pub fn batches(self) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..self.rows.div_ceil(BATCH_ROWS)).map(move |number| self.batch(number))
    }

    fn batch(self, number: u64) -> Result<RecordBatch> {
        let mut chance = Chance(self.number << 48 | number << 16);
        let mut texts: [Vec<Option<String>>; TEXTS.len()] = Default::default();
        let mut times: [Vec<i64>; TIMES.len()] = Default::default();
        for row in number * BATCH_ROWS..self.rows.min((number + 1) * BATCH_ROWS) {
            let event = self.event(row, &mut chance);
            for (column, cell) in texts.iter_mut().zip(event.texts) {
                column.push(cell);
            }
            for (column, cell) in times.iter_mut().zip(event.times) {
                column.push(cell);
            }
        }
        let texts = texts.map(|cells| Arc::new(StringArray::from(cells)) as ArrayRef);
        let times =
            times.map(|cells| Arc::new(TimestampMicrosecondArray::from(cells).with_timezone("UTC")) as ArrayRef);
        let columns = TEXTS.into_iter().zip(texts).chain(TIMES.into_iter().zip(times));
        let columns = columns.map(|(name, column)| (name, column, true));
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }

    fn event(self, row: u64, chance: &mut Chance) -> Event {
        let step_micros = DAY_MICROS / self.rows.max(1);
        let arrival_micros = self.number * DAY_MICROS + row * step_micros + chance.below(step_micros.max(1));
        let inserted_micros = START_MICROS as u64 + arrival_micros;
        // One in fifty comes from a device that was offline for up to ten minutes.
        let lag_micros = match chance.below(50) {
            0 => chance.below(600_000_000),
            _ => 300_000 + chance.below(4_000_000),
        };
        let timestamp_micros = inserted_micros - lag_micros;
        let created_micros = inserted_micros - chance.below(300_000);
        let (user, name) = (User(chance.user()), chance.of(NAMES));
        let words = (chance.of(WORDS), chance.of(WORDS));
        let properties = properties(chance, user, name, words, timestamp_micros);
        let person = !user.is_anonymous();
        Event {
            texts: [
                Some(uuid_v7(timestamp_micros / 1_000, chance.number(), chance.number())),
                Some(name.to_owned()),
                Some(user.distinct_id()),
                person.then(|| user.uuid(PERSON)),
                Some(properties.to_string()),
                person.then(|| person_properties(user).to_string()),
                Some(elements_chain(chance, name, words)),
            ],
            times: [timestamp_micros, created_micros, inserted_micros].map(|micros| micros as i64),
        }
    }
}

/// The cells of a row.
struct Event {
    texts: [Option<String>; TEXTS.len()],
    times: [i64; TIMES.len()],
}

/// Somebody by number, whose traits follow from it.
#[derive(Debug, Clone, Copy)]
pub struct User(pub u64);

/// What a user's number is asked for; the larger purposes are sessions.
const PERSON: u64 = 1;
const DEVICE: u64 = 2;
const TRAITS: u64 = 3;
const SESSIONS: u64 = 1 << 32;

impl User {
    /// A fifth of the users never say who they are.
    fn is_anonymous(self) -> bool {
        self.0 % 5 == 2
    }

    pub fn distinct_id(self) -> String {
        match self.is_anonymous() {
            true => self.uuid(DEVICE),
            false => format!("user-{}", self.0),
        }
    }

    /// The same chance for the same user and purpose.
    fn chance(self, purpose: u64) -> Chance {
        Chance(Chance(self.0).number() ^ Chance(purpose).number())
    }

    fn uuid(self, purpose: u64) -> String {
        let mut chance = self.chance(purpose);
        let joined_millis = START_MICROS as u64 / 1_000 - chance.below(1 << 35);
        uuid_v7(joined_millis, chance.number(), chance.number())
    }
}

fn properties(chance: &mut Chance, user: User, name: &str, words: (&str, &str), at_micros: u64) -> Value {
    let mut traits = user.chance(TRAITS);
    let (browser, system, device) = traits.of(SYSTEMS);
    let (width, height) = traits.of(SCREENS);
    let (city, system_version, version) = (traits.of(CITIES), traits.below(10) + 8, 110 + traits.below(20));
    let (latitude, release) = (traits.below(1_200_000) as f64 / 1e4 - 60.0, traits.below(30));
    let session = user.uuid(SESSIONS + at_micros / SESSION_MICROS);
    let mut path = chance.of(PATHS).to_owned();
    if path.ends_with(['/', '-']) && path.len() > 1 {
        path.push_str(&format!("{:x}", chance.below(1 << 24)));
    }
    let details = match name {
        AUTOCAPTURE => json!([
            {"tag_name": "button", "$el_text": format!("{} {}", words.0, words.1), "nth_child": chance.below(9)},
            {"tag_name": "div", "nth_child": chance.below(9)},
        ]),
        "signed up" => json!({"plan": chance.of(["free", "pro", "scale"]), "seats": chance.below(50), "price": 19.9}),
        _ => json!({"ratio": chance.below(100) as f64 / 1e2}),
    };
    json!({
        "$os": system, "$os_version": format!("{system_version}.{}", release % 9), "$browser": browser,
        "$browser_version": version, "$device_type": device, "$host": "app.example.com",
        "$current_url": format!("https://app.example.com{path}?ref={}", words.0), "$pathname": path,
        "$screen_height": height, "$screen_width": width, "$viewport_height": height - 80 - chance.below(200),
        "$viewport_width": width - chance.below(300), "$lib": "web", "$lib_version": format!("1.{}.2", 60 + release),
        "$insert_id": format!("{:016x}", chance.number()), "$time": (at_micros / 1_000) as f64 / 1e3,
        "distinct_id": user.distinct_id(), "$device_id": user.uuid(DEVICE), "$session_id": &session,
        "$window_id": &session,
        "$referrer": "$direct", "$geoip_city_name": city, "$geoip_latitude": latitude,
        "$active_feature_flags": [words.0, words.1], "$details": details,
    })
}

fn person_properties(user: User) -> Value {
    let mut traits = user.chance(TRAITS);
    json!({
        "email": format!("user-{}@example.com", user.0), "name": traits.of(GIVEN_NAMES),
        "plan": traits.of(["free", "pro", "scale"]),
    })
}

/// The clicked element and those around it, as one text.
fn elements_chain(chance: &mut Chance, name: &str, words: (&str, &str)) -> String {
    match name {
        AUTOCAPTURE => format!(
            "button.button--primary:nth-child=\"{}\"text=\"{} {}\";div.toolbar:nth-child=\"{}\"",
            chance.below(9),
            words.0,
            words.1,
            chance.below(9)
        ),
        _ => String::new(),
    }
}

fn uuid_v7(millis: u64, number: u64, more: u64) -> String {
    let (time, rest, c) = (millis >> 16 & 0xFFFF_FFFF, millis & 0xFFFF, number & 0xFFF);
    let (d, e) = (more >> 48 & 0x3FFF | 0x8000, more & 0xFFFF_FFFF_FFFF);
    format!("{time:08x}-{rest:04x}-7{c:03x}-{d:04x}-{e:012x}")
}

/// Numbers that look like chance and are the same on every machine (SplitMix64).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    fn of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N as u64) as usize]
    }

    /// A few users make most of the events.
    fn user(&mut self) -> u64 {
        let most = self.below(USERS) + 1;
        self.below(most) * self.below(most) / USERS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::{Array, AsArray};

    use super::*;

    fn batches(day: Day) -> Vec<RecordBatch> {
        day.batches().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn the_same_day_is_the_same_and_another_one_is_not() {
        let day = Day { number: 0, rows: 5_000 };
        assert_eq!(batches(day), batches(day));
        let next = Day { number: 1, ..day };
        let uuids = |day| -> HashSet<String> {
            let texts = |batch: RecordBatch| -> Vec<String> {
                let uuids = batch.column(0).as_string::<i32>();
                uuids.iter().flatten().map(str::to_owned).collect()
            };
            batches(day).into_iter().flat_map(texts).collect()
        };
        assert_eq!(uuids(day).len(), 5_000);
        assert!(uuids(day).is_disjoint(&uuids(next)));
    }

    #[test]
    fn events_look_as_promised() {
        let rows = 20_000;
        let (mut nulls, mut users, mut text_bytes) = (0, HashSet::new(), 0);
        let mut arrivals = Vec::new();
        for batch in batches(Day { number: 1, rows }) {
            let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>();
            nulls += text("person_id").null_count();
            assert_eq!(text("person_id").null_count(), text("person_properties").null_count());
            users.extend(text("distinct_id").iter().flatten().map(str::to_owned));
            for properties in text("properties").iter().flatten() {
                text_bytes += properties.len();
                let properties: Value = serde_json::from_str(properties).unwrap();
                assert_eq!(properties.as_object().unwrap().len(), 25);
            }
            let inserted = batch.column_by_name("_inserted_at").unwrap();
            arrivals.extend(
                inserted
                    .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
                    .values(),
            );
        }
        let share = nulls as f64 / rows as f64;
        assert!((0.18..0.22).contains(&share), "{share} have no person");
        assert!((1_000..8_000).contains(&users.len()), "{} users", users.len());
        let mean = text_bytes / rows as usize;
        assert!((550..900).contains(&mean), "{mean} bytes of properties");
        assert!(arrivals.is_sorted());
        let day = START_MICROS + DAY_MICROS as i64..START_MICROS + 2 * DAY_MICROS as i64;
        assert!(arrivals.iter().all(|micros| day.contains(micros)));
        assert_eq!(arrivals.len() as u64, rows);
    }
}
