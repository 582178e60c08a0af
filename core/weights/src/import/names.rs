//! Which names of a pickle mean something here.

use crate::dtype::DType;

/// A function or type whose results are plain data; the whole list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// `collections.OrderedDict`: an empty one, or from a list of pairs.
    Dict,
    /// `collections.defaultdict`: a type for missing entries, and perhaps a dictionary.
    DefaultDict,
    /// `set`, `frozenset`.
    Set,
    /// `torch.Size`: its one argument.
    Size,
    /// `torch._utils._rebuild_tensor` and `_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter`, with or without state: its first argument.
    Parameter,
    /// A storage class; only ever named inside a persistent id.
    Storage(Option<DType>),
    /// Values that no import needs and that are never built: paths, dates, counters, devices, numpy scalars, byte strings.
    Opaque,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// On the list.
    Function(Function),
    /// A plain container, a type, or a part of `torch.nn`: inert, even where it is never instantiated.
    KnownClass,
    /// Anything else that could be a class of modules or of dictionaries: inert, and refused unless it is used as one.
    ForeignClass,
    /// Never.
    Refused(&'static str),
}

const NOT_LISTED: &str = "only functions that build plain data are allowed";

/// What `module.name` stands for.
pub(super) fn lookup(module: &str, name: &str) -> Global {
    use Function::*;
    let function = match (module, name) {
        ("collections", "OrderedDict") => Dict,
        ("collections", "defaultdict") => DefaultDict,
        ("__builtin__" | "builtins", "set" | "frozenset") => Set,
        ("torch", "Size") => Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Tensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Parameter,
        _ if is_opaque(module, name) => Opaque,
        ("torch" | "torch.storage", storage) => match storage_type(storage) {
            Some(dtype) => Storage(dtype),
            None if module == "torch" && is_tensor_type(name) => return Global::KnownClass,
            None => return Global::Refused(NOT_LISTED),
        },
        _ if is_inert_class(module, name) => return Global::KnownClass,
        _ if module.split('.').next() == Some("torch") => return Global::Refused(NOT_LISTED),
        ("__builtin__" | "builtins", _) => return Global::Refused(NOT_LISTED),
        _ => return Global::ForeignClass,
    };
    Global::Function(function)
}

/// Types of Python and numpy whose values carry nothing that a network needs. Calling them runs no code of anybody else; they are
/// not called here all the same.
fn is_opaque(module: &str, name: &str) -> bool {
    match module {
        "pathlib" | "pathlib._local" => {
            ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath"].contains(&name)
        }
        "datetime" => ["datetime", "date", "time", "timedelta", "timezone"].contains(&name),
        "collections" => ["Counter", "deque"].contains(&name),
        "__builtin__" | "builtins" => {
            ["complex", "slice", "range", "xrange", "bytearray", "bytes", "list", "dict", "tuple"].contains(&name)
                || ["int", "float", "str", "unicode", "bool", "object"].contains(&name)
        }
        "decimal" => name == "Decimal",
        "fractions" => name == "Fraction",
        "uuid" => name == "UUID",
        // How byte strings are written by protocols without a byte string opcode.
        "_codecs" => name == "encode",
        "numpy.core.multiarray" | "numpy._core.multiarray" => ["scalar", "_reconstruct"].contains(&name),
        "numpy" => ["dtype", "ndarray"].contains(&name),
        "torch" => name == "device",
        "torch.torch_version" => name == "TorchVersion",
        _ => false,
    }
}

/// Classes that stay inert however they are used: instances are made without arguments and get attributes, nothing is called.
fn is_inert_class(module: &str, name: &str) -> bool {
    match module {
        "argparse" => name == "Namespace",
        "types" => name == "SimpleNamespace",
        // Types such as `numpy.float64`, kept by name.
        "numpy" => ["float", "int", "uint", "bool"].iter().any(|kind| name.starts_with(kind)),
        // Stored as an attribute (`self.act = F.relu`) and never called here.
        "torch.nn.functional" | "torch._C._nn" => true,
        // Gradient scalers that were saved whole.
        "torch.cuda.amp.grad_scaler" | "torch.amp.grad_scaler" => name == "GradScaler",
        _ => ["torch.nn.modules.", "torch.nn.parallel.", "torch.optim."].iter().any(|part| module.starts_with(part)),
    }
}

/// Data types such as `torch.float16` are attributes of some modules; everything else of torch could act.
fn is_tensor_type(name: &str) -> bool {
    ["float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"].contains(&name)
}

fn storage_type(name: &str) -> Option<Option<DType>> {
    Some(Some(match name {
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "CharStorage" => DType::I8,
        "ShortStorage" => DType::I16,
        "IntStorage" => DType::I32,
        "LongStorage" => DType::I64,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        "UntypedStorage" => return Some(None),
        _ => return None,
    }))
}

/// Whether a full class name needs no proof that it is a module's or a dictionary's.
pub(super) fn is_known(full: &str) -> bool {
    full.rsplit_once('.').is_some_and(|(module, name)| lookup(module, name) == Global::KnownClass)
}
