//! PyTorch's own files (`.pt`, `.bin`, `.ckpt`): a pickle that describes tensors, and their numbers beside it.

mod view;

pub use view::TensorView;

pub(crate) use view::StorageRef;
