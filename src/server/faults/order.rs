//! Orders of faults as JSON: `{"fault": "status", "code": 503, "endpoint": "tasks.started", "times": 3}`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Fault, WatchdogClock};
use crate::server::endpoints;

/// Long enough for any patience; a number that nobody meant is found.
const LONGEST_S: f64 = 86_400.0;
/// A watchdog's clock may be a year ahead.
const FURTHEST_S: u64 = 31_536_000;

/// What somebody wants to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The next calls.
    Calls {
        /// What each meets.
        fault: Fault,
        /// Of this endpoint; of any without.
        endpoint: Option<String>,
        /// How many; `u32::MAX` for all until the orders are cleared.
        times: u32,
    },
    /// Every token that was given out is refused from now on.
    RevokeTokens,
    /// Nobody is answered for so long.
    Offline(Duration),
    /// Log events are shown so long after they have arrived.
    LateLog(Duration),
    /// The clock of the watchdog.
    Watchdog(WatchdogClock),
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not one JSON object.
    #[error(
        "an order is one JSON object, and this is none: {reason}; post one such as {{\"fault\": \"status\", \"code\": 503}}"
    )]
    NoObject {
        /// What the reader says.
        reason: String,
    },
    /// A field is not there.
    #[error("`{field}` is missing; add it: {expected}")]
    Missing {
        /// Which.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A field is something else.
    #[error("`{field}` cannot be {found}; give {expected}")]
    Wrong {
        /// Which.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A field that this fault has not.
    #[error("`{field}` means nothing to the fault `{fault}`; leave it out")]
    Unknown {
        /// Which.
        field: String,
        /// The fault.
        fault: String,
    },
}

const FAULTS: &str = "one of `status`, `refuse`, `delay`, `drop`, `drop_reply`, `cut_reply`, `expired_token`, \
    `revoke_tokens`, `offline`, `late_log`, `watchdog`";
const CODE: &str = "an HTTP status from 400 to 599";
const SUBCODE: &str = "a result subcode from 0 to 65535";
const ENDPOINT: &str = "the name of an endpoint that this server has, such as `tasks.started`";
const TIMES: &str = "how many calls, a whole number from 1 on, or `always`";
const SECONDS: &str = "seconds, a number above 0 and at most 86400";
const AHEAD: &str = "seconds, a whole number from 0 to 31536000";

// === impl Order ===

impl Order {
    /// Reads an order.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, OrderError> {
        let no_object = |reason: String| OrderError::NoObject { reason };
        let value: Value = serde_json::from_slice(text).map_err(|error| no_object(error.to_string()))?;
        let Value::Object(object) = value else { return Err(no_object(format!("it is {}", short(&value)))) };
        let mut fields = Fields(object);
        let name = fields.required("fault", FAULTS, |value| value.as_str().map(str::to_owned))?;
        let order = match name.as_str() {
            "revoke_tokens" => Self::RevokeTokens,
            "offline" => Self::Offline(fields.seconds()?),
            "late_log" => Self::LateLog(fields.seconds()?),
            "watchdog" => {
                let usual = WatchdogClock::default();
                let ahead = fields.optional("ahead_seconds", AHEAD, |value| {
                    let seconds = value.as_u64().filter(|seconds| *seconds <= FURTHEST_S)?;
                    Some(Duration::from_secs(seconds))
                })?;
                let every = fields.optional("every_seconds", SECONDS, some_time)?;
                Self::Watchdog(WatchdogClock {
                    ahead: ahead.unwrap_or(usual.ahead),
                    every: every.unwrap_or(usual.every),
                })
            }
            _ => {
                let fault = fields.fault(&name)?;
                let endpoint = fields.optional("endpoint", ENDPOINT, |value| {
                    value.as_str().filter(|name| endpoints::is_one(name)).map(str::to_owned)
                })?;
                Self::Calls { fault, endpoint, times: fields.optional("times", TIMES, times)?.unwrap_or(1) }
            }
        };
        match fields.0.keys().next() {
            None => Ok(order),
            Some(field) => Err(OrderError::Unknown { field: field.chars().take(100).collect(), fault: name }),
        }
    }

    /// As [`Order::read`] takes it.
    #[must_use]
    pub fn shown(&self) -> Value {
        match self {
            Self::Calls { fault, endpoint, times } => {
                let mut shown = match fault {
                    Fault::Status(code) => json!({"fault": "status", "code": code}),
                    Fault::Refuse { code, subcode } => json!({"fault": "refuse", "code": code, "subcode": subcode}),
                    Fault::Delay(delay) => json!({"fault": "delay", "seconds": delay.as_secs_f64()}),
                    Fault::Drop => json!({"fault": "drop"}),
                    Fault::DropReply => json!({"fault": "drop_reply"}),
                    Fault::CutReply => json!({"fault": "cut_reply"}),
                    Fault::ExpiredToken => json!({"fault": "expired_token"}),
                };
                if let Some(endpoint) = endpoint {
                    shown["endpoint"] = json!(endpoint);
                }
                shown["times"] = if *times == u32::MAX { json!("always") } else { json!(times) };
                shown
            }
            Self::RevokeTokens => json!({"fault": "revoke_tokens"}),
            Self::Offline(time) => json!({"fault": "offline", "seconds": time.as_secs_f64()}),
            Self::LateLog(delay) => json!({"fault": "late_log", "seconds": delay.as_secs_f64()}),
            Self::Watchdog(WatchdogClock { ahead, every }) => {
                let (ahead, every) = (ahead.as_secs(), every.as_secs_f64());
                json!({"fault": "watchdog", "ahead_seconds": ahead, "every_seconds": every})
            }
        }
    }
}

/// What of an order was not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn optional<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, OrderError> {
        let Some(value) = self.0.remove(field) else { return Ok(None) };
        let wrong = || OrderError::Wrong { field, found: short(&value), expected };
        read(&value).map(Some).ok_or_else(wrong)
    }

    fn required<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, OrderError> {
        self.optional(field, expected, read)?.ok_or(OrderError::Missing { field, expected })
    }

    fn seconds(&mut self) -> Result<Duration, OrderError> {
        self.required("seconds", SECONDS, some_time)
    }

    /// A fault of calls.
    fn fault(&mut self, name: &str) -> Result<Fault, OrderError> {
        Ok(match name {
            "status" => Fault::Status(self.required("code", CODE, code)?),
            "refuse" => Fault::Refuse {
                code: self.required("code", CODE, code)?,
                subcode: self.required("subcode", SUBCODE, |value| value.as_u64()?.try_into().ok())?,
            },
            "delay" => Fault::Delay(self.seconds()?),
            "drop" => Fault::Drop,
            "drop_reply" => Fault::DropReply,
            "cut_reply" => Fault::CutReply,
            "expired_token" => Fault::ExpiredToken,
            other => {
                return Err(OrderError::Wrong { field: "fault", found: short(&json!(other)), expected: FAULTS });
            }
        })
    }
}

fn code(value: &Value) -> Option<u16> {
    value.as_u64()?.try_into().ok().filter(|code| (400..=599).contains(code))
}

fn times(value: &Value) -> Option<u32> {
    if value == "always" {
        return Some(u32::MAX);
    }
    value.as_u64()?.try_into().ok().filter(|times| (1..u32::MAX).contains(times))
}

/// No fault lasts no time: what rounds to nothing is nothing.
fn some_time(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=LONGEST_S).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// A value as an error shows it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    let shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Order::read(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn an_order_that_is_shown_can_be_given_again() {
        for text in [
            r#"{"fault": "status", "code": 503, "endpoint": "tasks.started", "times": 3}"#,
            r#"{"fault": "refuse", "code": 400, "subcode": 121}"#,
            r#"{"fault": "delay", "seconds": 0.25, "times": "always"}"#,
            r#"{"fault": "drop"}"#,
            r#"{"fault": "drop_reply"}"#,
            r#"{"fault": "cut_reply"}"#,
            r#"{"fault": "expired_token"}"#,
            r#"{"fault": "revoke_tokens"}"#,
            r#"{"fault": "offline", "seconds": 60}"#,
            r#"{"fault": "late_log", "seconds": 3}"#,
            r#"{"fault": "watchdog", "ahead_seconds": 7200, "every_seconds": 1}"#,
        ] {
            let order = Order::read(text.as_bytes()).expect(text);
            assert_eq!(Order::read(order.shown().to_string().as_bytes()), Ok(order), "{text}");
        }
    }

    #[test]
    fn a_bad_order_is_refused_by_the_name_of_its_field_with_the_reason_and_the_next_step() {
        assert!(refused("503").contains("it is 503; post one such as {\"fault\""));
        assert!(refused("{").contains("EOF"));
        assert!(refused("{}").starts_with("`fault` is missing; add it: one of `status`"));
        let unknown = refused(r#"{"fault": "fire"}"#);
        assert!(unknown.starts_with("`fault` cannot be \"fire\"; give one of `status`"), "{unknown}");
        let status = |code: &str| refused(&format!(r#"{{"fault": "status", "code": {code}}}"#));
        for code in ["200", "99999", "-1", "\"503\"", "503.5", "null"] {
            assert_eq!(status(code), format!("`code` cannot be {code}; give an HTTP status from 400 to 599"));
        }
        for (order, field) in [
            (r#"{"fault": "status"}"#, "`code` is missing"),
            (r#"{"fault": "offline"}"#, "`seconds` is missing"),
            (r#"{"fault": "offline", "seconds": 1e308}"#, "`seconds` cannot be 1e+308"),
            (r#"{"fault": "offline", "seconds": 1e-300}"#, "`seconds` cannot be 1e-300"),
            (r#"{"fault": "drop", "times": 0}"#, "`times` cannot be 0"),
            (r#"{"fault": "drop", "endpoint": "tasks.no_such"}"#, "`endpoint` cannot be \"tasks.no_such\""),
            (r#"{"fault": "drop", "code": 503}"#, "`code` means nothing to the fault `drop`; leave it out"),
            (r#"{"fault": "watchdog", "ahead_seconds": -1}"#, "`ahead_seconds` cannot be -1"),
        ] {
            assert!(refused(order).starts_with(field), "{order}: {}", refused(order));
        }
    }
}
