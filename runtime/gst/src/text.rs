//! Launch strings as text.

/// Byte ranges of the words of a launch string; quotes hold words together.
fn words(launch: &str) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut start, mut quote, mut escaped) = (vec![], None, None, false);
    for (at, c) in launch.char_indices() {
        if start.is_none() && !c.is_whitespace() {
            start = Some(at);
        }
        match (escaped, c, quote) {
            (true, ..) => escaped = false,
            (_, '\\', _) => escaped = true,
            (_, '"' | '\'', None) => quote = Some(c),
            (_, _, Some(open)) if c == open => quote = None,
            (_, _, None) if c.is_whitespace() => {
                if let Some(start) = start.take() {
                    found.push(start..at);
                }
            }
            _ => {}
        }
    }
    if let Some(start) = start {
        found.push(start..launch.len());
    }
    found
}

/// Puts a converter in front of every appsink of a launch string, wherever it stands, and appends both where there is none.
/// The converter passes on what needs no conversion.
pub fn complete(launch: &str) -> String {
    let words = words(launch);
    let linked = words.iter().zip(words.iter().skip(1));
    let word = |range: &std::ops::Range<usize>| launch.get(range.clone()).unwrap_or_default();
    let own = linked.filter(|(before, at)| word(before) == "!" && word(at) == "appsink");
    let (mut out, mut done) = (String::new(), 0);
    for (_, at) in own {
        out += launch.get(done..at.start).unwrap_or_default();
        out += "videoconvert ! ";
        done = at.start;
    }
    out += launch.get(done..).unwrap_or_default();
    if done == 0 {
        out += " ! videoconvert ! appsink name=frames";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appsink_is_appended_only_where_there_is_none_and_always_gets_a_converter() {
        for (launch, expected) in [
            ("v4l2src", "v4l2src ! videoconvert ! appsink name=frames"),
            ("v4l2src ! appsink name=mine", "v4l2src ! videoconvert ! appsink name=mine"),
            ("a ! identity name=appsink", "a ! identity name=appsink ! videoconvert ! appsink name=frames"),
            ("a !  appsink  t. ! queue ! fakesink", "a !  videoconvert ! appsink  t. ! queue ! fakesink"),
            (
                "a ! tee name=t t. ! appsink t. ! appsink",
                "a ! tee name=t t. ! videoconvert ! appsink t. ! videoconvert ! appsink",
            ),
            (
                r#"filesrc location="x ! appsink y" ! pngdec"#,
                r#"filesrc location="x ! appsink y" ! pngdec ! videoconvert ! appsink name=frames"#,
            ),
            (
                r#"f location="a\" ! appsink" ! b"#,
                r#"f location="a\" ! appsink" ! b ! videoconvert ! appsink name=frames"#,
            ),
        ] {
            assert_eq!(complete(launch), expected);
        }
    }
}
