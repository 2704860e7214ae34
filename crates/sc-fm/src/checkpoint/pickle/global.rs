//! The names that a pickle may use, all of them constructors of plain data.

use crate::checkpoint::element::Stored;

/// A name on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Dtype,
    Scalar,
    /// Turns text into bytes in protocol 2, which has no bytes of its own.
    Encode,
    /// `bytes()`: the empty bytes of protocol 2.
    Bytes,
    Size,
    RebuildTensor,
    RebuildParameter,
    Storage(Stored),
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("numpy", "dtype") => Self::Dtype,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("_codecs", "encode") => Self::Encode,
            ("__builtin__" | "builtins", "bytes") => Self::Bytes,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", storage) => Self::Storage(match storage {
                "DoubleStorage" => Stored::F64,
                "FloatStorage" => Stored::F32,
                "HalfStorage" => Stored::F16,
                "BFloat16Storage" => Stored::BF16,
                "LongStorage" => Stored::I64,
                "IntStorage" => Stored::I32,
                "ShortStorage" => Stored::I16,
                "CharStorage" => Stored::I8,
                "ByteStorage" => Stored::U8,
                "BoolStorage" => Stored::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OrderedDict => "collections.OrderedDict",
            Self::Dtype => "numpy.dtype",
            Self::Scalar => "numpy.core.multiarray.scalar",
            Self::Encode => "_codecs.encode",
            Self::Bytes => "builtins.bytes",
            Self::Size => "torch.Size",
            Self::RebuildTensor => "torch._utils._rebuild_tensor_v2",
            Self::RebuildParameter => "torch._utils._rebuild_parameter",
            Self::Storage(_) => "a torch storage",
        }
    }

    /// What it is built from, for the error.
    pub(super) fn arguments(self) -> &'static str {
        match self {
            Self::OrderedDict | Self::Bytes => "()",
            Self::Dtype => "(a numeric or text type such as \"f8\", False, True)",
            Self::Scalar => "(a numpy.dtype, as many bytes as it has)",
            Self::Encode => "(text, \"latin1\")",
            Self::Size => "(a tuple of sizes)",
            Self::RebuildTensor => {
                "(a storage, offset, sizes, strides, requires_grad, hooks), all inside the storage"
            }
            Self::RebuildParameter => "(a tensor, requires_grad, hooks)",
            Self::Storage(_) => "a persistent id",
        }
    }
}
