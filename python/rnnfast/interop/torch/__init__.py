"""The engine inside PyTorch."""

from rnnfast.interop.torch.acceleration import accelerate as accelerate
from rnnfast.interop.torch.acceleration import accelerated as accelerated
from rnnfast.interop.torch.acceleration import is_accelerated as is_accelerated
from rnnfast.interop.torch.acceleration import restore as restore
from rnnfast.interop.torch.packs import frozen as frozen
