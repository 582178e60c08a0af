//! What trainings keep beside their network: values that are never built, and what a checkpoint says of its classes.

use super::*;

/// `{"state_dict": {"w": tensor}, "extra": …}`, where `extra` leaves one value on the stack.
fn beside(extra: Pickle) -> Result<Imported, ImportCause> {
    let state = empty().op(opcode::EMPTY_DICT).text("w").tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    let p = Pickle::new().op(opcode::EMPTY_DICT).text("extra").raw(&extra.0).op(opcode::SETITEM);
    let p = p.text("state_dict").raw(&state.0).op(opcode::SETITEM);
    import_default(&zipped(&p.stop(), &[("0", floats(&[3.0]))]))
}

fn call(module: &str, name: &str, arguments: Pickle) -> Pickle {
    empty().global(module, name).op(opcode::MARK).raw(&arguments.0).op(opcode::TUPLE).op(opcode::REDUCE)
}

fn new(module: &str, name: &str, arguments: Pickle) -> Pickle {
    empty().global(module, name).op(opcode::MARK).raw(&arguments.0).op(opcode::TUPLE).op(opcode::NEWOBJ)
}

fn items() -> Pickle {
    empty().op(opcode::MARK).text("lr").int(1).text("epochs").int(2).op(opcode::SETITEMS)
}

fn bytes(data: &str) -> Pickle {
    call("_codecs", "encode", empty().text(data).text("latin1"))
}

#[test]
fn inert_values_beside_a_network_do_not_stop_its_import() {
    let none = || empty().op(opcode::NONE);
    let counter = empty().op(opcode::EMPTY_DICT).op(opcode::MARK).int(30).int(1).op(opcode::SETITEMS);
    let dtype = call("numpy", "dtype", empty().text("f8").op(opcode::NEWFALSE).op(opcode::NEWTRUE));
    let dtype = dtype.op(opcode::MARK).int(3).text("<").raw(&none().0).op(opcode::TUPLE).op(opcode::BUILD);
    let cases = [
        ("a path", call("pathlib", "PosixPath", empty().text("/").text("runs").text("exp"))),
        ("a path of Windows", call("pathlib", "WindowsPath", empty().text("C:\\"))),
        ("a path of Python 3.13", call("pathlib._local", "PosixPath", empty().text("/"))),
        ("a counter", call("collections", "Counter", counter)),
        ("an empty counter", call("collections", "Counter", empty())),
        ("a time", call("datetime", "datetime", bytes("\u{7}\u{ea}\u{1}\u{1}"))),
        ("a span of time", call("datetime", "timedelta", empty().int(0).int(9).int(0))),
        ("a deque", call("collections", "deque", empty().op(opcode::EMPTY_TUPLE).int(9)).int(4).op(opcode::APPEND)),
        (
            "a default dictionary",
            call("collections", "defaultdict", empty().global("builtins", "list")).raw(&items().0),
        ),
        ("one of dictionaries", call("collections", "defaultdict", empty().global("collections", "OrderedDict"))),
        ("a subclass of OrderedDict", call("utils.config", "Config", empty()).raw(&items().0)),
        (
            "one with attributes",
            call("m", "Config", empty()).raw(&items().0).op(opcode::EMPTY_DICT).raw(&items().0).op(opcode::BUILD),
        ),
        ("a subclass of dict", new("yacs.config", "CfgNode", empty()).raw(&items().0)),
        ("a subclass of list", new("m", "Names", empty()).op(opcode::MARK).int(1).int(2).op(opcode::APPENDS)),
        (
            "an empty one beside a full one",
            empty()
                .raw(&new("m", "Config", empty()).raw(&items().0).0)
                .raw(&new("m", "Config", empty()).0)
                .op(opcode::TUPLE2),
        ),
        ("options", new("argparse", "Namespace", empty()).op(opcode::EMPTY_DICT).raw(&items().0).op(opcode::BUILD)),
        (
            "a simple namespace",
            call("types", "SimpleNamespace", empty()).op(opcode::EMPTY_DICT).raw(&items().0).op(opcode::BUILD),
        ),
        ("a version", new("torch.torch_version", "TorchVersion", empty().text("2.7.0"))),
        ("a number of numpy", call("numpy.core.multiarray", "scalar", empty().raw(&dtype.0).raw(&bytes("12345678").0))),
        ("one of numpy 2", call("numpy._core.multiarray", "scalar", empty().raw(&dtype.0).raw(&bytes("12345678").0))),
        ("a type", empty().global("numpy", "float64")),
        (
            "an optimiser",
            new("torch.optim.adam", "Adam", empty()).op(opcode::EMPTY_DICT).raw(&items().0).op(opcode::BUILD),
        ),
        ("a complex number", call("builtins", "complex", empty().int(1).int(2))),
    ];
    for (what, value) in cases {
        let got = beside(value.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(got.entry.as_deref(), Some("state_dict"), "{what}");
        assert_eq!(got.weights.get("w"), Some(&HostTensor::from_f32(&[1], &[3.0]).unwrap()), "{what}");
        // The other way round of the stack machine: behind the state, and remembered.
        let twice = empty().raw(&value.0).raw(&[opcode::BINPUT, 200, opcode::BINGET, 200]).op(opcode::TUPLE2);
        assert!(beside(twice).is_ok(), "{what}, twice");
    }
}

/// As segmentation networks are published: the network under `model_state`, beside the optimiser's tensors and a score of numpy.
#[test]
fn the_state_is_found_beside_that_of_an_optimiser_and_a_scheduler() {
    let one = |name: &str| empty().op(opcode::EMPTY_DICT).text(name).tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    let of_first = empty().op(opcode::EMPTY_DICT).int(0).raw(&one("momentum_buffer").0).op(opcode::SETITEM);
    let optimiser = empty().op(opcode::EMPTY_DICT).text("state").raw(&of_first.0).op(opcode::SETITEM);
    let optimiser = optimiser.text("param_groups").op(opcode::EMPTY_LIST).op(opcode::SETITEM);
    let scheduler = empty().op(opcode::EMPTY_DICT).text("last_epoch").int(30000).op(opcode::SETITEM);
    let dtype = call("numpy", "dtype", empty().text("f8").op(opcode::NEWFALSE).op(opcode::NEWTRUE));
    let score = call("numpy.core.multiarray", "scalar", empty().raw(&dtype.0).raw(&bytes("12345678").0));
    let p = Pickle::new().op(opcode::EMPTY_DICT).op(opcode::MARK).text("cur_itrs").int(30000);
    let p = p.text("model_state").raw(&one("module.classifier.classifier.3.bias").0);
    let p = p.text("optimizer_state").raw(&optimiser.0).text("scheduler_state").raw(&scheduler.0);
    let p = p.text("best_score").raw(&score.0).op(opcode::SETITEMS);
    let got = import_default(&zipped(&p.stop(), &[("0", floats(&[3.0]))])).unwrap();
    assert_eq!(got.entry.as_deref(), Some("model_state"));
    assert_eq!(got.weights.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["classifier.classifier.3.bias"]);
}

#[test]
fn what_could_act_beside_a_network_is_still_refused_by_its_name() {
    let cases = [
        ("os.system", call("os", "system", empty().text("true"))),
        ("os.getcwd", call("os", "getcwd", empty())),
        // Dressed up as a dictionary.
        ("os.abort", call("os", "abort", empty()).raw(&items().0)),
        ("webbrowser.open", call("webbrowser", "open", empty().text("x")).raw(&items().0)),
        ("m.Config", call("m", "Config", empty().text("argument")).raw(&items().0)),
        ("m.Config", call("m", "Config", empty())),
        ("m.Config", new("m", "Config", empty())),
        ("builtins.getattr", call("builtins", "getattr", empty().global("os", "path").text("x"))),
        ("builtins.eval", call("collections", "defaultdict", empty().global("builtins", "eval"))),
        ("os.system", call("collections", "defaultdict", empty().global("os", "system"))),
        ("pathlib.os", call("pathlib", "os", empty())),
        ("datetime.sys", call("datetime", "sys", empty())),
        ("argparse.Namespace", call("argparse", "Namespace", empty().text("x"))),
        ("torch.optim.adam.Adam", call("torch.optim.adam", "Adam", empty().text("x"))),
        ("copyreg._reconstructor", call("copyreg", "_reconstructor", empty().int(1))),
        ("numpy.load", call("numpy", "load", empty().text("x"))),
        ("numpy.float_power", call("numpy", "float_power", empty().int(1))),
    ];
    for (name, value) in cases {
        assert_eq!(refused_name(beside(value)), name);
    }
}

#[test]
fn the_prefix_of_a_data_parallel_training_is_removed_and_said() {
    let entry = |p: Pickle, name: &str| p.text(name).tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    let p = entry(entry(Pickle::new().op(opcode::EMPTY_DICT), "module.a.weight"), "module.b.weight");
    let file = zipped(&p.stop(), &[("0", floats(&[1.0]))]);
    let got = import_default(&file).unwrap();
    assert_eq!(got.weights.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["a.weight", "b.weight"]);
    assert_eq!(got.notes, ["removed `module.` from the front of all 2 names"]);
    // The same through the reader of every kind.
    let read = crate::read_weights(file.path()).unwrap();
    assert_eq!((read.weights.len(), read.notes), (2, got.notes));
    // A caller's own prefix is the caller's.
    let options = ImportOptions { strip_prefix: Some("module.a.".into()), ..ImportOptions::default() };
    let got = import_checkpoint(file.path(), &options).unwrap();
    assert_eq!(got.weights.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["weight", "module.b.weight"]);
}

#[test]
fn missing_counters_are_filled_in_and_said() {
    let buffers = empty().text("running_mean").tensor("0", 1, 0, &[1], &[1]);
    let norm = empty().module(
        ("torch.nn.modules.batchnorm", "BatchNorm2d"),
        empty().text("weight").tensor("0", 1, 0, &[1], &[1]),
        buffers.text("running_var").tensor("0", 1, 0, &[1], &[1]),
        empty(),
    );
    let got = import_default(&zipped(&Pickle::new().raw(&norm.0).stop(), &[("0", floats(&[1.0]))])).unwrap();
    let names: Vec<&str> = got.weights.iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["weight", "running_mean", "running_var", "num_batches_tracked"]);
    let outer = empty().module(("m", "M"), empty(), empty(), empty().text("bn").raw(&norm.0));
    let got = import_default(&zipped(&Pickle::new().raw(&outer.0).stop(), &[("0", floats(&[1.0]))])).unwrap();
    assert_eq!(got.weights.get("bn.num_batches_tracked"), Some(&HostTensor::from_i64(&[], &[0]).unwrap()));
    assert!(got.notes.len() == 1 && got.notes[0].contains("1 missing"), "{:?}", got.notes);
}

/// A module with `names`, `nc` and `stride` as the original detector keeps them.
fn detector(names: Pickle, count: i32) -> Result<Imported, ImportCause> {
    let module = empty().module(
        ("models.yolo", "DetectionModel"),
        empty().text("w").tensor("0", 3, 0, &[3], &[1]),
        empty(),
        empty(),
    );
    // BUILD and the SETITEMS before it are taken off, and more attributes put in.
    let mut open = module.0;
    open.truncate(open.len() - 2);
    let p = Pickle::new().op(opcode::EMPTY_DICT).text("model").raw(&open).text("names").raw(&names.0);
    let p = p.text("nc").int(count).text("stride").tensor("0", 3, 0, &[3], &[1]);
    let p = p.op(opcode::SETITEMS).op(opcode::BUILD).op(opcode::SETITEM).stop();
    import_default(&zipped(&p, &[("0", floats(&[8.0, 16.0, 32.0]))]))
}

#[test]
fn class_names_and_strides_come_along() {
    let list = empty().op(opcode::EMPTY_LIST).op(opcode::MARK).text("person").text("car").op(opcode::APPENDS);
    let dict = empty().op(opcode::EMPTY_DICT).op(opcode::MARK).int(1).text("car").int(0).text("person");
    let dict = dict.op(opcode::SETITEMS);
    for names in [list.clone(), dict] {
        let got = detector(names, 2).unwrap();
        let metadata = got.weights.metadata();
        assert_eq!(metadata["classes"], r#"["person","car"]"#);
        assert_eq!((&*metadata["class_count"], &*metadata["strides_px"]), ("2", "[8.0,16.0,32.0]"));
        assert!(got.notes.is_empty() && got.class.as_deref() == Some("models.yolo.DetectionModel"));
    }
    // Names that cannot be right are left out, and that is said.
    let gap = empty().op(opcode::EMPTY_DICT).op(opcode::MARK).int(0).text("a").int(2).text("b").op(opcode::SETITEMS);
    let number = empty().op(opcode::EMPTY_LIST).op(opcode::MARK).text("a").int(2).op(opcode::APPENDS);
    for (names, count, why) in [(list, 80, "it has 80 classes"), (gap, 2, "class 1 has none"), (number, 2, "no text")] {
        let got = detector(names, count).unwrap();
        assert!(!got.weights.metadata().contains_key("classes"));
        assert!(got.notes.len() == 1 && got.notes[0].contains(why), "{:?}", got.notes);
    }
}

#[test]
fn class_names_of_an_entry_about_the_training_come_along() {
    let classes = empty().text("road").text("car").op(opcode::TUPLE2);
    let meta = |key: &str| empty().op(opcode::EMPTY_DICT).text(key).raw(&classes.0).op(opcode::SETITEM);
    let state = empty().op(opcode::EMPTY_DICT).text("w").tensor("0", 1, 0, &[1], &[1]).op(opcode::SETITEM);
    let inner = empty().op(opcode::EMPTY_DICT).text("dataset_meta").raw(&meta("classes").0).op(opcode::SETITEM);
    for meta in [meta("CLASSES"), inner] {
        let p = Pickle::new().op(opcode::EMPTY_DICT).text("meta").raw(&meta.0).op(opcode::SETITEM);
        let p = p.text("state_dict").raw(&state.0).op(opcode::SETITEM).stop();
        let got = import_default(&zipped(&p, &[("0", floats(&[1.0]))])).unwrap();
        assert_eq!(got.weights.metadata()["classes"], r#"["road","car"]"#);
    }
}

#[test]
fn class_names_are_bounded() {
    let long = empty().op(opcode::EMPTY_LIST).text(&"n".repeat(1 << 16)).raw(&[opcode::BINPUT, 0, opcode::POP]);
    let long = long.op(opcode::MARK).raw(&[opcode::BINGET, 0].repeat(20)).op(opcode::APPENDS);
    let got = detector(long, 20).unwrap();
    assert!(got.notes[0].contains("more than 1048576 bytes"), "{:?}", got.notes);
    let many = empty().op(opcode::EMPTY_LIST).text("n").raw(&[opcode::BINPUT, 0, opcode::POP]).op(opcode::MARK);
    let many = many.raw(&[opcode::BINGET, 0].repeat(60_000)).op(opcode::APPENDS);
    assert!(detector(many, 60_000).unwrap().notes[0].contains("expected 1 to 50000"));
}
