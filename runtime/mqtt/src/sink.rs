//! Results as messages.

use std::ffi::OsStr;

use caf_runtime::line::LineShape;
use caf_runtime::result::PairResult;
use caf_runtime::sink::error::SinkError;
use caf_runtime::sink::kind::{DropPolicy, Sent, Sink, SinkKind};

use crate::address::Address;
use crate::link::{Link, PASSWORD};

/// Messages to a broker.
pub const KIND: SinkKind = SinkKind {
    option: "--mqtt",
    value: "mqtt://[USER@]HOST[:PORT]/TOPIC",
    help: "Publish each line of JSON to an MQTT broker; the user's password is read from CAF_MQTT_PASSWORD",
    writes_file: false,
    drops: DropPolicy::AllButNewest,
    open: |place| Ok(Box::new(Messages::open(place)?)),
};

/// A connection, with the length of the longest line so far.
struct Messages {
    link: Link,
    shape: LineShape,
    longest: usize,
}

impl Messages {
    fn open(place: &OsStr) -> Result<Self, SinkError> {
        let address = Address::parse(place)?;
        let link = Link::start(address, &std::env::var(PASSWORD).unwrap_or_default())?;
        Ok(Self { link, shape: LineShape::default(), longest: 1024 })
    }
}

impl Sink for Messages {
    fn shape(&mut self, lines: LineShape) {
        self.shape = lines;
    }

    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        // The connection keeps a message until it is sent, so that each has memory of its own.
        let mut line = Vec::with_capacity(self.longest);
        let written = self.shape.write(result, true, &mut line).is_ok();
        self.longest = self.longest.max(line.len());
        Ok(if written && self.link.publish(line) { Sent::Written } else { Sent::Undelivered })
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.link.end();
        Ok(())
    }
}
