//! Sessions: how visitors came, what they did and how they left. Built column by column from the model's schema, so
//! that a column cannot be forgotten.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::error::ArrowError;

use super::Row;
use super::persons::TEAM_ID;
use super::random::{PERSONS, Random, uuid};
use crate::model::{ColumnKind, Model};

const SALT: u64 = 0x7365_7373;
const HOST: &str = "shop.example.com";
const PATHS: [&str; 5] = ["/", "/products", "/cart", "/blog/日本語", "/checkout"];

/// The values that a session's columns are made from.
struct Session {
    row: Row,
    person: u64,
    pages: Vec<&'static str>,
    clicks: i64,
    campaign: Option<&'static str>,
    click_id: u64,
    seconds: i64,
}

impl Session {
    fn new(row: Row) -> Self {
        let mut random = Random::new(SALT, row.number);
        let pages = (0..=random.below(4)).map(|_| random.pick(&PATHS)).collect();
        Self {
            row,
            person: random.below(PERSONS),
            pages,
            clicks: random.below(12).cast_signed(),
            campaign: random.one_in(3).then(|| random.pick(&["spring sale", "Ostern – 20 %"])),
            click_id: random.next(),
            seconds: random.below(1_800).cast_signed(),
        }
    }

    fn entry(&self) -> &'static str {
        self.pages.first().copied().unwrap_or("/")
    }

    fn exit(&self) -> &'static str {
        self.pages.last().copied().unwrap_or("/")
    }

    fn pages(&self) -> i64 {
        self.pages.len() as i64
    }

    fn distinct_pages(&self) -> i64 {
        let mut pages = self.pages.clone();
        pages.sort_unstable();
        pages.dedup();
        pages.len() as i64
    }

    fn text(&self, column: &str) -> Option<String> {
        let url = |path: &str| Some(format!("https://{HOST}{path}"));
        let id = |version| {
            let mut text = String::new();
            let millis = (self.row.at_micros / 1_000).cast_unsigned();
            uuid(millis << 16 | self.click_id & 0xfff, self.click_id, version).write(&mut text);
            Some(text)
        };
        match column {
            "session_id" | "session_id_v7" => id(7),
            "distinct_id" => Some(format!("user-{}@example.com", self.person)),
            "entry_current_url" => url(self.entry()),
            "end_current_url" | "exit_current_url" => url(self.exit()),
            "entry_pathname" => Some(self.entry().to_owned()),
            "end_pathname" | "exit_pathname" => Some(self.exit().to_owned()),
            "entry_hostname" | "end_hostname" => Some(HOST.to_owned()),
            "entry_utm_source" => self.campaign.map(|_| "newsletter".to_owned()),
            "entry_utm_campaign" => self.campaign.map(str::to_owned),
            "entry_utm_medium" => self.campaign.map(|_| "email".to_owned()),
            "entry_referring_domain" => Some("$direct".to_owned()),
            "entry_gclid" => self.campaign.is_none().then(|| format!("{:x}", self.click_id)),
            "channel_type" => Some(if self.campaign.is_some() { "Email" } else { "Direct" }.to_owned()),
            _ => None,
        }
    }

    fn number(&self, column: &str) -> i64 {
        match column {
            "team_id" => TEAM_ID,
            "num_uniq_urls" => self.distinct_pages(),
            "pageview_count" => self.pages(),
            "autocapture_count" => self.clicks,
            "session_duration" | "duration" => self.seconds,
            "page_screen_autocapture_count_up_to" => self.pages() + self.clicks,
            // Screens are what mobile applications have.
            _ => 0,
        }
    }

    fn time(&self, column: &str) -> i64 {
        match column {
            "start_timestamp" => self.row.at_micros - self.seconds * 1_000_000,
            _ => self.row.at_micros,
        }
    }
}

pub(crate) fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let sessions: Vec<Session> = rows.iter().copied().map(Session::new).collect();
    let schema = Model::Sessions.schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            column(
                field.name(),
                ColumnKind::of(field).unwrap_or(ColumnKind::Text),
                &sessions,
            )
        })
        .collect();
    RecordBatch::try_new(schema, columns)
}

fn column(name: &str, kind: ColumnKind, sessions: &[Session]) -> ArrayRef {
    let all = sessions.iter();
    match kind {
        ColumnKind::Text | ColumnKind::Json => Arc::new(all.map(|session| session.text(name)).collect::<StringArray>()),
        ColumnKind::Integer => Arc::new(Int64Array::from_iter_values(all.map(|session| session.number(name)))),
        ColumnKind::Float => Arc::new(
            all.map(|session| (session.clicks > 0).then(|| session.seconds as f64 / 8.0))
                .collect::<Float64Array>(),
        ),
        ColumnKind::Boolean => Arc::new(BooleanArray::from_iter(
            all.map(|session| Some(session.pages.len() == 1 && session.clicks == 0)),
        )),
        ColumnKind::Timestamp => Arc::new(
            TimestampMicrosecondArray::from_iter_values(all.map(|session| session.time(name))).with_timezone("UTC"),
        ),
        ColumnKind::TextList => {
            let mut urls = ListBuilder::new(StringBuilder::new());
            for session in all {
                for page in &session.pages {
                    urls.values().append_value(format!("https://{HOST}{page}"));
                }
                urls.append(true);
            }
            Arc::new(urls.finish())
        }
    }
}
