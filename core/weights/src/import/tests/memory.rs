//! Small pickles that ask for much memory: one long value, referred to again and again.

use super::*;
use crate::import::value::MAX_NAME;

/// The memo's places.
const LONG: [u8; 2] = [opcode::BINGET, 0];
const OTHER: [u8; 2] = [opcode::BINGET, 1];
/// Copies of the longest name that is accepted: more than the budget, in a pickle of 100 kB.
const MANY: usize = 20_000;

impl Pickle {
    /// Remembers the top of the stack, for [`LONG`] or [`OTHER`], and takes it off.
    fn remember(self, place: u8) -> Self {
        self.raw(&[opcode::BINPUT, place]).op(opcode::POP)
    }

    fn times(self, n: usize, bytes: &[u8]) -> Self {
        self.raw(&bytes.repeat(n))
    }
}

fn name(len: usize) -> String {
    "n".repeat(len)
}

fn state(entries: Pickle) -> Vec<u8> {
    let first = Pickle::new().op(opcode::EMPTY_DICT).text("w").tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    first.op(opcode::MARK).raw(&entries.0).op(opcode::SETITEMS).stop()
}

fn import_pickle(pickle: &[u8]) -> Result<Imported, ImportCause> {
    import_default(&zipped(pickle, &[("0", floats(&[1.0]))]))
}

/// What there was too much of.
fn limit(pickle: &[u8]) -> &'static str {
    match import_pickle(pickle) {
        Err(ImportCause::Limit { what, found, limit }) => {
            assert!(found > limit, "{what}: {found} of {limit}");
            what
        }
        other => panic!("expected a limit, found {other:?}"),
    }
}

#[test]
fn class_names_are_not_copied_without_end() {
    let classes = |len, n| {
        let p = Pickle::new().text(&name(len)).remember(0).text("X").remember(1);
        p.times(n, &[&LONG[..], &OTHER, &[opcode::STACK_GLOBAL]].concat()).stop()
    };
    assert_eq!(limit(&classes(1 << 20, MANY)), "bytes of a class name");
    assert_eq!(limit(&classes(MAX_NAME - 2, MANY)), "bytes copied by the pickle, the last into a class name");
    // A few are no reason; the name outside the list is, and is cut in the message.
    let refused = refused_name(import_pickle(&classes(MAX_NAME - 2, 100)));
    assert!(refused.ends_with("n… (4096 bytes)") && refused.len() < 200, "{refused}");
    let instance = Pickle::new().op(opcode::MARK).raw(format!("i{}\nX\n", name(1 << 20)).as_bytes()).stop();
    let refused = refused_name(import_pickle(&instance));
    assert!(refused.ends_with("n… (1048578 bytes)") && refused.len() < 200, "{refused}");
}

#[test]
fn names_of_objects_without_state_are_not_copied_to_find_the_first() {
    let p = Pickle::new().global("m", &name(4000)).remember(0).op(opcode::EMPTY_TUPLE).remember(1);
    let p = p.times(400_000, &[&LONG[..], &OTHER, &[opcode::NEWOBJ]].concat()).stop();
    let refused = refused_name(import_pickle(&p));
    assert!(refused.starts_with("m.nnn") && refused.ends_with("(4002 bytes)"), "{refused}");
}

#[test]
fn storage_keys_are_not_copied_without_end() {
    let storages = |len| {
        let p = Pickle::new().op(opcode::MARK).text("storage").global("torch", "FloatStorage").text(&name(len));
        let p = p.text("cpu").int(1).op(opcode::TUPLE).remember(0);
        p.times(MANY, &[&LONG[..], &[opcode::BINPERSID]].concat()).stop()
    };
    assert_eq!(limit(&storages(1 << 20)), "bytes of a storage's key");
    assert_eq!(limit(&storages(MAX_NAME)), "bytes copied by the pickle, the last into a storage's key");
}

#[test]
fn sets_dictionaries_and_extents_are_not_copied_without_end() {
    let call = [&LONG[..], &OTHER, &[opcode::REDUCE]].concat();
    let list = |item: Pickle, n| {
        let p = Pickle::new().raw(&item.0).remember(1).op(opcode::EMPTY_LIST).op(opcode::MARK).times(n, &OTHER);
        p.op(opcode::APPENDS).op(opcode::TUPLE1).remember(1)
    };
    let set = list(empty().int(1), 1_000_000).global("__builtin__", "set").remember(0).times(MANY, &call).stop();
    assert_eq!(limit(&set), "bytes copied by the pickle, the last into a set");

    let pair = empty().text("k").int(1).op(opcode::TUPLE2);
    let dict = list(pair, 100_000).global("collections", "OrderedDict").remember(0).times(MANY, &call).stop();
    assert_eq!(limit(&dict), "bytes copied by the pickle, the last into a dictionary");

    let p = Pickle::new().global("torch._utils", "_rebuild_tensor").remember(0).op(opcode::MARK).op(opcode::MARK);
    let p = p.text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(1).op(opcode::TUPLE);
    let p = p.op(opcode::BINPERSID).int(0).ints(&[1; 64]).ints(&[1; 64]).op(opcode::TUPLE).remember(1);
    let extents = p.times(5 * MANY, &call).stop();
    assert_eq!(limit(&extents), "bytes copied by the pickle, the last into a tensor's extents");
}

#[test]
fn the_memo_is_counted() {
    let memo = Pickle::new().op(opcode::NONE).times(4_000_001, &[opcode::MEMOIZE]).stop();
    assert_eq!(limit(&memo), "values remembered by the pickle");
}

#[test]
fn entries_without_tensors_are_counted_with_their_names() {
    let entry = [&LONG[..], &[opcode::NONE]].concat();
    let flat = |len, n| state(empty().text(&name(len)).raw(&[opcode::BINPUT, 0]).op(opcode::NONE).times(n, &entry));
    assert_eq!(limit(&flat(1 << 20, MANY)), "bytes of a name");
    assert_eq!(limit(&flat(MAX_NAME, MANY)), "bytes of all names");
    assert_eq!(limit(&flat(1, 100_000)), "entries that are no tensors");
    assert_eq!(import_pickle(&flat(1, 9)).unwrap().ignored.len(), 10);

    let entry = [&LONG[..], &[opcode::NEWTRUE]].concat();
    let module = |len, n| {
        let buffers = empty().text(&name(len)).raw(&[opcode::BINPUT, 0]).op(opcode::NEWTRUE).times(n, &entry);
        Pickle::new().module(("m", "M"), empty(), buffers, empty()).stop()
    };
    assert_eq!(limit(&module(1 << 20, MANY)), "bytes of a name");
    assert_eq!(limit(&module(MAX_NAME, MANY)), "bytes of all names");
    assert_eq!(limit(&module(1, 100_000)), "entries that are no tensors");
    assert_eq!(import_pickle(&module(1, 9)).unwrap().ignored.len(), 10);
}

#[test]
fn tensors_are_counted_with_their_names() {
    let first = empty().text(&name(MAX_NAME)).raw(&[opcode::BINPUT, 0]).tensor("0", 1, 0, &[1], &[1]);
    let first = first.raw(&[opcode::BINPUT, 1]);
    assert_eq!(limit(&state(first.times(MANY, &[LONG, OTHER].concat()))), "bytes of all names");
}

#[test]
fn messages_list_few_entries_and_cut_their_names() {
    let entry = [&LONG[..], &[opcode::NONE]].concat();
    let p = Pickle::new().op(opcode::EMPTY_DICT).op(opcode::MARK).text(&"ä".repeat(1 << 19));
    let p = p.raw(&[opcode::BINPUT, 0]).op(opcode::NONE).times(4095, &entry).op(opcode::SETITEMS).stop();
    let error = import_pickle(&p).unwrap_err();
    assert!(matches!(error, ImportCause::Entry { .. }), "{error}");
    let text = error.to_string();
    assert!(text.ends_with("ä… (1048576 bytes)` and 4076 more") && text.len() < 10_000, "{text}");
}

#[test]
fn a_name_that_occurs_twice_is_told() {
    let error = import_pickle(&state(empty().text("w").tensor("0", 1, 0, &[1], &[1]))).unwrap_err();
    assert_eq!(error.to_string(), "tensor `w`: it occurs twice");
}
