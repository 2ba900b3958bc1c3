//! The plugin's configuration. `config.schema.json` of the npm package says the same for editors and for the host.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::time::Duration;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after its last write a session reads from the primary.
    #[serde(deserialize_with = "duration")]
    pub(crate) read_your_writes: Option<Duration>,
    pub(crate) read_only_functions: Vec<String>,
    pub(crate) write_functions: Vec<String>,
    pub(crate) primary_tables: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Milliseconds(u32),
    Text(String),
}

/// "500ms", "5s", "2m", or a number of milliseconds; 0 means off.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let wrong = || D::Error::custom("expected a time such as \"500ms\", \"5s\" or \"2m\", or a number of milliseconds");
    let millis = match Written::deserialize(deserializer).map_err(|_| wrong())? {
        Written::Milliseconds(millis) => millis,
        Written::Text(text) => parse(&text).ok_or_else(wrong)?,
    };
    Ok((millis > 0).then(|| Duration::from_millis(millis.into())))
}

fn parse(text: &str) -> Option<u32> {
    let digits = text.find(|byte: char| !byte.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ms: u32 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(value: &str) -> Result<Option<Duration>, String> {
        let config: Result<Config, _> = serde_json::from_str(&format!("{{\"read_your_writes\": {value}}}"));
        config.map(|config| config.read_your_writes).map_err(|error| error.to_string())
    }

    #[test]
    fn the_window_is_off_by_default_and_for_zero() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap().read_your_writes, None);
        assert_eq!(window("0"), Ok(None));
        assert_eq!(window("\"0s\""), Ok(None));
    }

    #[test]
    fn the_window_is_a_time_with_a_unit_or_milliseconds() {
        assert_eq!(window("250"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(window("\"250ms\""), Ok(Some(Duration::from_millis(250))));
        assert_eq!(window("\"5s\""), Ok(Some(Duration::from_secs(5))));
        assert_eq!(window("\"2m\""), Ok(Some(Duration::from_secs(120))));
        assert_eq!(window("\"1h\""), Ok(Some(Duration::from_secs(3600))));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_one() {
        for value in ["\"5\"", "\"s\"", "\"5 s\"", "\"five\"", "-1", "1.5", "true", "\"99999999h\"", "\"\""] {
            assert!(window(value).unwrap_err().contains("\"5s\""), "{value}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(
            serde_json::from_str::<Config>(r#"{"read_only_function": []}"#)
                .unwrap_err()
                .to_string()
                .contains("read_only_function")
        );
    }
}
