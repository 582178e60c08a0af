//! `--config`: the options of a command as the keys of a TOML file. There is one definition of both, the command line's.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

use caf_console::WrongCall;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

/// Name of the option that names the file.
const CONFIG: &str = "config";
/// Options that are about the file and so cannot stand in it.
const TYPED_ONLY: [&str; 2] = [CONFIG, "print-config"];

/// What was typed after the name of `command`, with what the file of its `--config` says before it. What was typed goes before the
/// file: a key whose option was typed, or one that excludes it, is passed over.
///
/// # Errors
/// When the file cannot be read or is no TOML; for an unknown key, with those that there are; for a value that its option refuses, with
/// what it takes.
pub fn with_file(command: &Command, typed: &[OsString]) -> Result<Vec<OsString>, WrongCall> {
    let lenient = command.clone().no_binary_name(true).ignore_errors(true);
    // Help was asked for.
    let Ok(matches) = lenient.try_get_matches_from(typed) else { return Ok(typed.to_vec()) };
    let Some(path) = matches.get_one::<PathBuf>(CONFIG) else { return Ok(typed.to_vec()) };
    let wrong = |why: String| WrongCall(format!("--config {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string().trim_end().to_owned()))?;
    let mut words = vec![];
    for (key, value) in &table {
        let Some(option) = options(command).find(|option| option.get_long() == Some(key)) else {
            let known: Vec<&str> = options(command).filter_map(Arg::get_long).collect();
            return Err(wrong(format!("unknown key `{key}`; there are: {}", known.join(", "))));
        };
        let said = arguments(option, value).and_then(|said| accepted(command, &said).map(|()| said));
        let said = said.map_err(|why| wrong(format!("{key}: {why}")))?;
        let is_typed = |other: &&Arg| matches.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine);
        if !options(command).filter(is_typed).any(|other| other == option || exclude(command, option, other)) {
            words.extend(said);
        }
    }
    words.extend_from_slice(typed);
    Ok(words)
}

/// The options that can be keys.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|option| option.get_long().is_some_and(|name| !TYPED_ONLY.contains(&name)))
}

/// The words that a key stands for.
fn arguments(option: &Arg, value: &Value) -> Result<Vec<OsString>, String> {
    let name = option.get_long().unwrap_or_default();
    let word = |value: &Value| scalar(value).map(|text| format!("--{name}={text}").into());
    match (option.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(true)) => Ok(vec![format!("--{name}").into()]),
        (ArgAction::SetTrue, Value::Boolean(false)) => Ok(vec![]),
        (ArgAction::SetTrue, _) => Err(format!("expected true or false, found {value}")),
        (ArgAction::Append, Value::Array(values)) => {
            let words = values.iter().map(word).collect::<Option<_>>();
            words.ok_or_else(|| format!("expected a list of texts or numbers, found {value}"))
        }
        _ => word(value).map(|word| vec![word]).ok_or_else(|| format!("expected one text or number, found {value}")),
    }
}

/// A value as it is typed.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// Whether the parser of the command line takes these words, whatever else it misses.
fn accepted(command: &Command, words: &[OsString]) -> Result<(), String> {
    match command.clone().no_binary_name(true).try_get_matches_from(words) {
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(refused(&error)),
        _ => Ok(()),
    }
}

/// The parser's reason without its usage.
fn refused(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    match (error.source(), text(ContextKind::ValidValue)) {
        (Some(reason), _) => reason.to_string(),
        (None, known) if !known.is_empty() => {
            format!("expected one of {known}, found `{}`", text(ContextKind::InvalidValue))
        }
        (None, _) => format!("expected a value, found `{}`", text(ContextKind::InvalidValue)),
    }
}

/// Whether two options cannot both be given.
fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |one: &Arg, other: &Arg| command.get_arg_conflicts_with(one).contains(&other);
    let mut groups = command.get_groups().filter(|group| !(*group).clone().is_multiple());
    names(one, other)
        || names(other, one)
        || groups.any(|group| [one, other].iter().all(|option| group.get_args().any(|id| id == option.get_id())))
}

/// The options of `command` as they are in `matches`, as a file that `--config` takes: each with its help, and commented out where it
/// has no value.
pub fn text(command: &Command, matches: &ArgMatches) -> String {
    let mut out = format!(
        "# caf-run {} --config FILE: every option is a key. What is typed goes before the file. Paths are as if typed.\n",
        command.get_name()
    );
    for option in options(command) {
        let name = option.get_long().unwrap_or_default();
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(out, "\n# {}\n{}\n", help.replace('\n', "\n# "), line(option, name, matches));
    }
    out
}

fn line(option: &Arg, name: &str, matches: &ArgMatches) -> String {
    let values: Vec<&OsStr> = matches.get_raw(option.get_id().as_str()).into_iter().flatten().collect();
    match option.get_action() {
        ArgAction::SetTrue => format!("{name} = {}", matches.get_flag(option.get_id().as_str())),
        ArgAction::Append if values.is_empty() => format!("# {name} = []"),
        ArgAction::Append => {
            format!("{name} = [{}]", values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", "))
        }
        _ => match values.first() {
            Some(value) => format!("{name} = {}", literal(value)),
            None => format!("# {name} ="),
        },
    }
}

/// A value in TOML: a number where it reads as the same text, else a text.
fn literal(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    let number = format!("x = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("x"));
    match number {
        Some(Value::Integer(_) | Value::Float(_)) if number.as_ref().and_then(scalar).as_deref() == Some(&*text) => {
            text.into_owned()
        }
        _ => Value::String(text.into_owned()).to_string(),
    }
}

/// `command` with nothing required of a call, so that its options can be shown before they are chosen.
pub fn undemanding(command: &Command) -> Command {
    let groups: Vec<clap::Id> = command.get_groups().map(|group| group.get_id().clone()).collect();
    let command = command.clone().mut_args(|option| option.required(false));
    groups.into_iter().fold(command, |command, group| command.mut_group(group, |group| group.required(false)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LiveArgs;
    use clap::Args as _;

    fn command() -> Command {
        LiveArgs::augment_args(Command::new("live"))
    }

    /// The merged words, with a file of that text.
    fn merged(text: &str, typed: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.toml");
        std::fs::write(&path, text).unwrap();
        let config = [OsString::from("--config"), path.into()];
        let typed: Vec<OsString> = config.into_iter().chain(typed.iter().map(OsString::from)).collect();
        let words = with_file(&command(), &typed).map_err(|error| error.to_string())?;
        Ok(words
            .iter()
            .map(|word| word.to_str().unwrap().to_owned())
            .filter(|word| !word.contains("live.toml"))
            .collect())
    }

    #[test]
    fn keys_become_options_and_what_is_typed_goes_before_them() {
        let file = "model = 'm.onnx'\nir = 'a b'\nmax-skew-ms = 12.5\nqueue = 2\nrealtime = true\nno-draw = false\n\
                    jsonl = ['x', 'y']\nudp = '127.0.0.1:1'\nrig = 'r.toml'\n";
        let all = "--model=m.onnx --ir=a b --max-skew-ms=12.5 --queue=2 --realtime --jsonl=x --jsonl=y --udp=127.0.0.1:1 \
                   --rig=r.toml --config";
        let sorted = |words: &[String]| {
            let mut words = words.to_vec();
            words.sort();
            words
        };
        let expected: Vec<String> = all.replace("a b", "a_b").split(' ').map(|w| w.replace("a_b", "a b")).collect();
        assert_eq!(sorted(&merged(file, &[]).unwrap()), sorted(&expected));
        let words = merged(file, &["--jsonl", "z", "--every-frame", "--queue=3", "--bundle", "b"]).unwrap();
        for (word, stays) in
            [("--ir=a b", true), ("--udp=127.0.0.1:1", true), ("--jsonl=x", false), ("--realtime", false)]
        {
            assert_eq!(words.contains(&word.to_owned()), stays, "{word}: {words:?}");
        }
        // The bundle excludes the model and the rig.
        for gone in ["--queue=2", "--model=m.onnx", "--rig=r.toml"] {
            assert!(!words.contains(&gone.to_owned()), "{words:?}");
        }
    }

    #[test]
    fn each_mistake_is_named_with_its_file_its_key_and_what_is_allowed() {
        let wrong = [
            ("modle = 'm'", "unknown key `modle`; there are: model, bundle,"),
            ("config = 'm'", "unknown key `config`"),
            ("queue = 0", "queue: expected a whole number from 1 to 64, found `0`"),
            ("queue = 'x'", "queue: expected a whole number from 1 to 64, found `x`"),
            ("queue = [1]", "queue: expected one text or number, found [1]"),
            ("conf = 2", "conf: expected a number from 0 to 1, found `2`"),
            ("provider = 'gpu'", "provider: expected one of cpu, cuda, tensorrt, auto, found `gpu`"),
            ("realtime = 1", "realtime: expected true or false, found 1"),
            ("ir = true", "ir: expected one text or number, found true"),
            ("jsonl = [[]]", "jsonl: expected a list of texts or numbers"),
            ("[sinks]\njsonl = 'x'", "unknown key `sinks`"),
            ("ir = 'a'\nir = 'b'", "line 2"),
            ("x", "line 1"),
        ];
        for (text, words) in wrong {
            let error = merged(text, &[]).unwrap_err();
            assert!(error.contains(words) && error.contains("live.toml"), "{text}: {error}");
        }
        let absent = with_file(&command(), &["--config".into(), "/no/such/live.toml".into()]).unwrap_err().to_string();
        assert!(absent.contains("/no/such/live.toml: No such file"), "{absent}");
    }

    #[test]
    fn what_is_printed_holds_every_option_and_is_read_as_the_same() {
        let show = |words: &[OsString]| {
            let matches = undemanding(&command()).no_binary_name(true).try_get_matches_from(words).unwrap();
            text(&command(), &matches)
        };
        let typed =
            ["--ir", "a \"b\" \\ c", "--queue", "7", "--seconds", "1e3", "--jsonl", "x", "--jsonl", "5", "--realtime"];
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let first = show(&typed);
        for option in options(&command()) {
            let name = option.get_long().unwrap();
            let lines = first.lines().filter(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")));
            assert_eq!(lines.count(), 1, "{name}\n{first}");
        }
        assert!(first.contains("\nqueue = 7\n") && first.contains("\n# bundle =\n"), "{first}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, &first).unwrap();
        assert_eq!(show(&with_file(&command(), &["--config".into(), path.into()]).unwrap()), first);
        assert!(show(&[]).contains("\n# ir =\n"));
    }
}
