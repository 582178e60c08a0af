//! Which names of a pickle mean something here.

use crate::DType;

/// A function or type whose results are plain data; the whole list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// `collections.OrderedDict`: an empty one, or from a list of pairs.
    Dict,
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
    /// Results that no import needs: devices, numpy scalars, byte strings.
    Inert,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// On the list.
    Function(Function),
    /// A plain container or a part of `torch.nn`: inert, even where it is never instantiated.
    KnownClass,
    /// Anything else that could be a module class: inert, and refused unless it is instantiated as a module.
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
        ("__builtin__" | "builtins", "set" | "frozenset") => Set,
        ("torch", "Size") => Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Tensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Parameter,
        ("torch", "device") => Inert,
        // How byte strings are written by protocols without a byte string opcode.
        ("_codecs", "encode") => Inert,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct") => Inert,
        ("numpy", "dtype" | "ndarray") => Inert,
        ("torch" | "torch.storage", storage) => match storage_type(storage) {
            Some(dtype) => Storage(dtype),
            None => return refuse_torch(module, name),
        },
        ("argparse", "Namespace") | ("types", "SimpleNamespace") => return Global::KnownClass,
        _ if module.starts_with("torch.nn.modules.") || module == "torch.nn.parallel.data_parallel" => {
            return Global::KnownClass;
        }
        // Stored as an attribute (`self.act = F.relu`) and never called here.
        ("torch.nn.functional" | "torch._C._nn", _) => return Global::KnownClass,
        _ if module.split('.').next() == Some("torch") => return refuse_torch(module, name),
        ("__builtin__" | "builtins", _) => return Global::Refused(NOT_LISTED),
        _ => return Global::ForeignClass,
    };
    Global::Function(function)
}

/// Data types such as `torch.float16` are attributes of some modules; everything else of torch could act.
fn refuse_torch(module: &str, name: &str) -> Global {
    const TYPES: [&str; 10] =
        ["float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"];
    if module == "torch" && TYPES.contains(&name) { Global::KnownClass } else { Global::Refused(NOT_LISTED) }
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

/// Whether a full class name needs no proof that it is a module's.
pub(super) fn is_known(full: &str) -> bool {
    full.rsplit_once('.').is_some_and(|(module, name)| lookup(module, name) == Global::KnownClass)
}
