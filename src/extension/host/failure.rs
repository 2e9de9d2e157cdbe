//! How a function of the host says no: the `failure` of `wit/types.wit`.

use wasmtime::component::{ComponentType, Lower};

use crate::message::{Failure, Retry};

/// What a host function that can fail returns: the one result of a component function.
pub(super) type Answer<T> = (Result<T, Refused>,);

#[derive(Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub(super) struct Refused {
    code: String,
    message: String,
    /// JSON text.
    details: Option<String>,
    retry: May,
}

/// `retry` of `wit/types.wit`: may it be tried again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum May {
    #[component(name = "later")]
    Later,
    #[component(name = "final")]
    Final,
}

impl Refused {
    /// It would be refused again.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Refused {
        Refused { code: code.to_owned(), message: message.into(), details: None, retry: May::Final }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Another attempt may have more luck.
    pub(super) fn for_now(code: &str, message: impl Into<String>) -> Refused {
        Refused { retry: May::Later, ..Refused::new(code, message) }
    }

    /// There is no message at hand whose commit could carry this out.
    pub(super) fn no_message() -> Refused {
        Refused::new("no-message", "no message is being handled here, so nothing can be sent, asked or stored")
    }
}

/// What another handler answered. The code that it gave itself, which stands in the details, is what the caller knows it by.
impl From<Failure> for Refused {
    fn from(Failure { code, message, details, retry }: Failure) -> Refused {
        let own = details.as_ref().and_then(|details| serde_json::from_str::<Details>(details.as_str()).ok());
        let (code, details) = match own {
            Some(Details { code, details }) => (code, details.map(|details| details.get().to_owned())),
            None => (code.as_str().to_owned(), details.map(|text| text.as_str().to_owned())),
        };
        let retry = match retry {
            Retry::Later => May::Later,
            Retry::Final => May::Final,
        };
        Refused { code, message, details, retry }
    }
}

/// What the details of a handler's failure look like.
#[derive(serde::Deserialize)]
struct Details {
    code: String,
    details: Option<Box<serde_json::value::RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Code, JsonText};

    fn refused(code: Code, details: Option<&str>) -> (String, Option<String>) {
        let details = details.map(|text| JsonText::parse(text).unwrap());
        let Refused { code, details, .. } = Failure { code, message: "no".into(), details, retry: Retry::Later }.into();
        (code, details)
    }

    #[test]
    fn the_code_is_the_one_that_the_other_handler_gave() {
        let own = r#"{"code":"wrong-payload","details":{"at" : "b"}}"#;
        assert_eq!(refused(Code::HandlerFailed, Some(own)), ("wrong-payload".into(), Some(r#"{"at" : "b"}"#.into())));
        assert_eq!(refused(Code::HandlerFailed, Some(r#"{"code":"x"}"#)), ("x".into(), None));
        assert_eq!(refused(Code::HandlerFailed, None), ("handler-failed".into(), None));
        assert_eq!(refused(Code::HandlerFailed, Some("[1]")), ("handler-failed".into(), Some("[1]".into())));
        assert_eq!(
            refused(Code::NotPermitted, Some(r#"{"at":1}"#)),
            ("not-permitted".into(), Some(r#"{"at":1}"#.into()))
        );
    }
}
