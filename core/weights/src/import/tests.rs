//! Hand-made checkpoints and attacks.

use super::*;
use crate::HostTensor;
use std::io::Write;

mod inert;
mod memory;

/// Writes a pickle opcode by opcode.
#[derive(Clone, Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Pickle(vec![opcode::PROTO, 2])
    }
    fn op(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }
    fn text(mut self, text: &str) -> Self {
        self.0.push(opcode::BINUNICODE);
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }
    fn int(mut self, n: i32) -> Self {
        self.0.push(opcode::BININT);
        self.0.extend(n.to_le_bytes());
        self
    }
    fn global(mut self, module: &str, name: &str) -> Self {
        self.0.extend(format!("c{module}\n{name}\n").into_bytes());
        self
    }
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn ints(self, values: &[i32]) -> Self {
        values.iter().fold(self.op(opcode::MARK), |p, v| p.int(*v)).op(opcode::TUPLE)
    }
    /// A tensor of `len` stored floats, seen through offset, shape and strides.
    fn tensor(self, key: &str, len: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(opcode::MARK)
            .op(opcode::MARK)
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(len)
            .op(opcode::TUPLE)
            .op(opcode::BINPERSID)
            .int(offset)
            .ints(shape)
            .ints(strides)
            .op(opcode::NEWFALSE)
            .global("collections", "OrderedDict")
            .op(opcode::EMPTY_TUPLE)
            .op(opcode::REDUCE)
            .op(opcode::TUPLE)
            .op(opcode::REDUCE)
    }
    fn stop(self) -> Vec<u8> {
        self.op(opcode::STOP).0
    }
    /// A module of any class with the given parameters, buffers and children, each written by the caller as pairs.
    fn module(self, class: (&str, &str), parameters: Pickle, buffers: Pickle, modules: Pickle) -> Self {
        let part = |p: Pickle, name: &str, pairs: &Pickle| {
            p.text(name).op(opcode::EMPTY_DICT).op(opcode::MARK).raw(&pairs.0).op(opcode::SETITEMS)
        };
        let p = self.global(class.0, class.1).op(opcode::EMPTY_TUPLE).op(opcode::NEWOBJ).op(opcode::EMPTY_DICT);
        let p = p.op(opcode::MARK);
        let p = part(p, "_parameters", &parameters);
        let p = part(p, "_buffers", &buffers);
        let p = p.text("_non_persistent_buffers_set").global("__builtin__", "set").op(opcode::EMPTY_LIST);
        let p = p.text("scratch").op(opcode::APPEND).op(opcode::TUPLE1).op(opcode::REDUCE);
        part(p, "_modules", &modules).op(opcode::SETITEMS).op(opcode::BUILD)
    }
}

fn empty() -> Pickle {
    Pickle::default()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn zipped(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
    zip.start_file("a/data.pkl", options).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, bytes) in storages {
        zip.start_file(format!("a/data/{key}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    file
}

fn import_default(file: &tempfile::NamedTempFile) -> Result<Imported, ImportCause> {
    import_checkpoint(file.path(), &ImportOptions::default()).map_err(|error| match error {
        WeightsError::Checkpoint { source, .. } => source,
        other => panic!("expected the cause of a refused checkpoint, found {other:?}"),
    })
}

fn bare(pickle: Vec<u8>) -> Result<Imported, ImportCause> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pickle).unwrap();
    import_default(&file)
}

/// `{"net": Outer(weight, (buffer seen, scratch not), child 0 = Inner(weight transposed))}`
fn module_pickle() -> Vec<u8> {
    let inner = empty().module(
        ("torch.nn.modules.conv", "Conv2d"),
        empty().text("weight").tensor("1", 6, 0, &[3, 2], &[1, 3]).text("bias").op(opcode::NONE),
        empty(),
        empty(),
    );
    let outer = empty().module(
        ("models", "Outer"),
        empty().text("weight").tensor("0", 4, 1, &[2], &[1]),
        empty().text("mean").tensor("0", 4, 0, &[], &[]).text("scratch").tensor("0", 4, 0, &[1], &[1]),
        empty().text("0").raw(&inner.0),
    );
    Pickle::new().op(opcode::EMPTY_DICT).text("net").raw(&outer.0).op(opcode::SETITEM).stop()
}

fn module_storages() -> Vec<(&'static str, Vec<u8>)> {
    vec![("0", floats(&[9.0, 1.0, 2.0, 8.0])), ("1", floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))]
}

fn refused_name(result: Result<Imported, ImportCause>) -> String {
    match result {
        Err(ImportCause::Refused { name, .. }) => name,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_pickled_module_gives_its_state_in_order() {
    let got = import_default(&zipped(&module_pickle(), &module_storages())).unwrap();
    assert_eq!((got.entry.as_deref(), got.class.as_deref()), (Some("net"), Some("models.Outer")));
    let names: Vec<&str> = got.weights.iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["weight", "mean", "0.weight"]);
    assert_eq!(got.weights.get("weight"), Some(&HostTensor::from_f32(&[2], &[1.0, 2.0]).unwrap()));
    assert_eq!(got.weights.get("mean"), Some(&HostTensor::from_f32(&[], &[9.0]).unwrap()));
    let transposed = HostTensor::from_f32(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).unwrap();
    assert_eq!(got.weights.get("0.weight"), Some(&transposed));
}

#[test]
fn states_are_found_plain_nested_and_by_name() {
    let state = || empty().op(opcode::EMPTY_DICT).text("module.w").tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    let one = [("0", floats(&[3.0]))];
    let plain = import_default(&zipped(&Pickle::new().raw(&state().0).stop(), &one)).unwrap();
    assert_eq!((plain.weights.len(), plain.entry), (1, None));
    assert_eq!(plain.weights.iter().next().unwrap().0, "w");
    assert_eq!(plain.notes, ["removed `module.` from the front of all 1 names"]);

    let two = Pickle::new().op(opcode::EMPTY_DICT).op(opcode::MARK);
    let two = two.text("state_dict").raw(&state().0).text("teacher").raw(&state().0).text("epoch").int(3);
    let two = zipped(&two.op(opcode::SETITEMS).stop(), &one);
    let error = import_default(&two).unwrap_err().to_string();
    assert!(error.contains("`state_dict`, `teacher`") && error.contains("`epoch`"), "{error}");
    let options =
        ImportOptions { entry: Some("teacher".into()), strip_prefix: Some("module.".into()), keep_types: false };
    let got = import_checkpoint(two.path(), &options).unwrap();
    assert_eq!(got.weights.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["w"]);
    let absent = ImportOptions { entry: Some("epoch".into()), ..ImportOptions::default() };
    assert!(import_checkpoint(two.path(), &absent).is_err());
}

#[test]
fn files_before_torch_1_6_are_read() {
    let mut bytes =
        Pickle::new().raw(&[opcode::LONG1, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]).stop();
    bytes.extend(Pickle::new().int(1001).stop());
    bytes.extend(
        Pickle::new().op(opcode::EMPTY_DICT).text("little_endian").op(opcode::NEWTRUE).op(opcode::SETITEM).stop(),
    );
    bytes.extend(
        Pickle::new().op(opcode::EMPTY_DICT).text("w").tensor("77", 2, 0, &[2], &[1]).op(opcode::SETITEM).stop(),
    );
    bytes.extend(Pickle::new().op(opcode::EMPTY_LIST).text("77").op(opcode::APPEND).stop());
    bytes.extend(2u64.to_le_bytes());
    bytes.extend(floats(&[5.0, 6.0]));
    let got = bare(bytes.clone()).unwrap();
    assert_eq!(got.weights.get("w"), Some(&HostTensor::from_f32(&[2], &[5.0, 6.0]).unwrap()));
    for n in 0..bytes.len() {
        assert!(bare(bytes[..n].to_vec()).is_err(), "{n} of {} bytes were accepted", bytes.len());
    }
}

#[test]
fn calls_are_refused_by_the_name_of_what_is_called() {
    let call = |module: &str, name: &str| {
        bare(Pickle::new().global(module, name).text("echo hello").op(opcode::TUPLE1).op(opcode::REDUCE).stop())
    };
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.hub", "load"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("copyreg", "_reconstructor"),
        ("models", "Outer"),
        ("collections", "OrderedDict.fromkeys"),
    ] {
        assert_eq!(refused_name(call(module, name)), format!("{module}.{name}"));
    }
}

#[test]
fn names_are_refused_however_they_are_reached() {
    let by_stack = Pickle::new().text("os").text("system").op(opcode::STACK_GLOBAL).text("x").op(opcode::TUPLE1);
    assert_eq!(refused_name(bare(by_stack.op(opcode::REDUCE).stop())), "os.system");
    // Imported and dropped: nothing is called, but a real unpickler would have imported it.
    assert_eq!(
        refused_name(bare(Pickle::new().global("evil", "hook").op(opcode::POP).op(opcode::NONE).stop())),
        "evil.hook"
    );
    let by_inst = Pickle::new().op(opcode::MARK).text("x").raw(b"ios\nsystem\n").stop();
    assert_eq!(refused_name(bare(by_inst)), "os.system");
    let by_obj = Pickle::new().op(opcode::MARK).global("os", "system").text("x").op(opcode::OBJ).stop();
    assert_eq!(refused_name(bare(by_obj)), "os.system");
    let keyworded = Pickle::new().global("a", "B").op(opcode::EMPTY_TUPLE).op(opcode::EMPTY_DICT).op(opcode::NEWOBJ_EX);
    assert_eq!(refused_name(bare(keyworded.stop())), "a.B");
    let with_arguments = Pickle::new().global("shelve", "Shelf").text("x").op(opcode::TUPLE1).op(opcode::NEWOBJ);
    assert_eq!(refused_name(bare(with_arguments.stop())), "shelve.Shelf");
    let not_a_module = Pickle::new().global("a", "B").op(opcode::EMPTY_TUPLE).op(opcode::NEWOBJ).op(opcode::EMPTY_DICT);
    assert_eq!(refused_name(bare(not_a_module.clone().op(opcode::BUILD).stop())), "a.B");
    assert_eq!(refused_name(bare(not_a_module.op(opcode::POP).stop())), "a.B");
    // An instance that is called.
    let instance = Pickle::new().module(("models", "Outer"), empty(), empty(), empty()).op(opcode::EMPTY_TUPLE);
    assert_eq!(refused_name(bare(instance.op(opcode::REDUCE).stop())), "models.Outer (an instance)");
    // Protocol 0, as old exploits write it.
    assert_eq!(refused_name(bare(b"cos\nsystem\n(S'echo hello'\ntR.".to_vec())), "os.system");
}

#[test]
fn extension_and_buffer_opcodes_are_refused_by_their_own_name() {
    for (byte, argument, name) in [
        (opcode::EXT1, &[1][..], "EXT1"),
        (opcode::EXT2, &[1, 0][..], "EXT2"),
        (opcode::EXT4, &[1, 0, 0, 0][..], "EXT4"),
        (opcode::PERSID, &b"x\n"[..], "PERSID"),
        (opcode::NEXT_BUFFER, &[][..], "NEXT_BUFFER"),
        (opcode::READONLY_BUFFER, &[][..], "READONLY_BUFFER"),
    ] {
        assert_eq!(refused_name(bare(Pickle::new().op(byte).raw(argument).stop())), name);
    }
}

#[test]
fn a_hostile_name_inside_a_real_archive_is_refused_too() {
    let hostile = Pickle::new().op(opcode::EMPTY_DICT).text("net").raw(&module_pickle()[2..]);
    let hostile = Pickle(hostile.0[..hostile.0.len() - 1].to_vec()).op(opcode::SETITEM).text("extra");
    let hostile = hostile.global("builtins", "eval").text("1").op(opcode::TUPLE1).op(opcode::REDUCE);
    assert_eq!(
        refused_name(import_default(&zipped(&hostile.op(opcode::SETITEM).stop(), &module_storages()))),
        "builtins.eval"
    );
}

#[test]
fn other_files_are_told_apart() {
    let text = |r: Result<Imported, ImportCause>| r.unwrap_err().to_string();
    assert!(text(bare(b"\xffPNG".to_vec())).contains("neither a zip archive nor a pickle"));
    assert!(text(bare(Vec::new())).contains("ends in the middle"));
    assert!(text(bare(Pickle::new().op(opcode::NONE).stop())).contains("torch did not write"));
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(text(bare(tar)).contains("torch 0.1"));
    assert!(text(import_default(&zipped(&Pickle::new().op(opcode::NONE).stop(), &[]))).contains("no tensors"));
}

#[test]
fn damaged_storages_and_impossible_views_are_named() {
    let state = |len, shape: &[i32], strides: &[i32]| {
        Pickle::new().op(opcode::EMPTY_DICT).text("w").tensor("0", len, 0, shape, strides).op(opcode::SETITEM).stop()
    };
    let text = |pickle: Vec<u8>, storages: &[(&str, Vec<u8>)]| {
        import_default(&zipped(&pickle, storages)).unwrap_err().to_string()
    };
    let two = [("0", floats(&[1.0, 2.0]))];
    assert!(
        text(state(3, &[3], &[1]), &two).contains("tensor `w`: storage `0` should hold 3 F32 elements, found 8 bytes")
    );
    assert!(text(state(2, &[3], &[1]), &two).contains("reaches element 2 of a storage with 2"));
    assert!(text(state(2, &[1000], &[0]), &two).contains("broadcast"));
    assert!(text(state(2, &[2], &[1]), &[]).contains("a/data/0"));
    assert!(text(state(2, &[-1], &[1]), &two).contains("negative"));
}

#[test]
fn compressed_entries_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
    zip.start_file("a/data.pkl", options).unwrap();
    zip.write_all(&vec![0; 1 << 20]).unwrap();
    zip.finish().unwrap();
    assert!(import_default(&file).unwrap_err().to_string().contains("compressed"));
}

#[test]
fn structures_that_grow_without_end_are_stopped() {
    // Each module holds the one before it twice: 2^60 paths.
    let mut pickle =
        Pickle::new().module(("m", "M"), empty().text("w").tensor("0", 1, 0, &[1], &[1]), empty(), empty());
    for level in 0..60u8 {
        let twice = empty().text("a").raw(&[opcode::BINGET, level]).text("b").raw(&[opcode::BINGET, level]);
        pickle = pickle.raw(&[opcode::BINPUT, level]).op(opcode::POP).module(("m", "M"), empty(), empty(), twice);
    }
    let error = import_default(&zipped(&pickle.stop(), &[("0", floats(&[1.0]))])).unwrap_err();
    assert!(matches!(error, ImportCause::Limit { .. }), "{error}");
    // A module inside itself.
    let own = Pickle::new().global("m", "M").op(opcode::EMPTY_TUPLE).op(opcode::NEWOBJ).raw(&[opcode::BINPUT, 0]);
    let own = own.op(opcode::EMPTY_DICT).text("_modules").op(opcode::EMPTY_DICT).text("a").raw(&[opcode::BINGET, 0]);
    let own = own.op(opcode::SETITEM).op(opcode::SETITEM).op(opcode::BUILD).stop();
    assert!(matches!(import_default(&zipped(&own, &[])), Err(ImportCause::Limit { .. })));
    // Deep nesting of plain values costs nothing.
    let mut deep = Pickle::new().op(opcode::EMPTY_TUPLE);
    deep.0.extend(std::iter::repeat_n(opcode::TUPLE1, 1_000_000));
    assert!(matches!(import_default(&zipped(&deep.stop(), &[])), Err(ImportCause::Entry { .. })));
    // A length that no file backs.
    let long = Pickle::new().raw(&[opcode::BINUNICODE8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).stop();
    assert!(matches!(bare(long), Err(ImportCause::Damaged { opcode: "BINUNICODE8", .. })));
}

/// Every byte of a pickle set to every value, and every truncation: an answer, never a panic.
fn survive(pickle: &[u8], values: &[u8], stride: usize) -> [usize; 2] {
    let mut counts = [0; 2];
    for n in 0..pickle.len() {
        assert!(run::run(&pickle[..n], 0).is_err(), "{n} of {} bytes ran to the end", pickle.len());
    }
    let mut changed = pickle.to_vec();
    for i in (0..pickle.len()).step_by(stride) {
        for value in values {
            changed[i] = pickle[i] ^ value;
            counts[usize::from(run::run(&changed, 0).is_ok())] += 1;
        }
        changed[i] = pickle[i];
    }
    counts
}

#[test]
fn every_changed_byte_of_a_small_checkpoint_is_survived() {
    let pickle = module_pickle();
    let all: Vec<u8> = (1..=255).collect();
    let [refused, ran] = survive(&pickle, &all, 1);
    println!("{refused} changed pickles refused, {ran} ran to the end");
    assert!(refused > 0 && ran > 0);
    // The whole way, storages included.
    for (i, flip) in (0..pickle.len()).flat_map(|i| [1, 4, 0x80].map(|f| (i, f))) {
        let mut changed = pickle.clone();
        changed[i] ^= flip;
        let _ = import_default(&zipped(&changed, &module_storages()));
    }
}

#[test]
fn every_changed_byte_of_an_archive_is_survived() {
    let file = zipped(&module_pickle(), &module_storages());
    let bytes = std::fs::read(file.path()).unwrap();
    for i in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[i] ^= 0x41;
        let _ = bare(changed);
        let _ = bare(bytes[..i].to_vec());
    }
}

#[test]
fn every_changed_byte_of_a_real_pickle_is_survived() {
    let test = "every_changed_byte_of_a_real_pickle_is_survived";
    let Some(folder) = caf_golden::find(test, "golden/caf") else { return };
    let path = caf_golden::files(&folder, "", ".pth").remove(0);
    let file = File::open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    let pickle = container::Archive::open(file, len).unwrap().pickle().unwrap();
    run::run(&pickle, 0).unwrap();
    let [refused, ran] = survive(&pickle, &[0x01, 0x10, 0x80, 0xff], 1);
    caf_golden::say(&format!("{test}: {}, {refused} changed pickles refused, {ran} ran to the end", path.display()));
    assert!(refused > 0 && ran > 0);
}
