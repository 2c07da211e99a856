"""Where the integrator runs: on the CPU, or on a GPU that torch reaches through CUDA (or ROCm, which has its names).

torch is loaded only for a device other than the CPU.
"""

from __future__ import annotations

import re

from nlmevae.errors import SettingsError

CPU = "cpu"
#: The only back end that runs on a GPU.
GPU_BACKEND = "torchode"

_ON_CPU = "or leave out the device"
_NO_FLOAT64 = "it has no 64-bit floating point numbers, which tolerances of 1e-8 need"


def device_name(device: object, backend: str = "auto") -> str:
    """``cpu``, ``cuda`` or ``cuda:1``, from what a user wrote; whether it is there is not asked.

    Raises:
        SettingsError: no such device, one without float64, or another back end than torchode on a GPU.
    """
    name = device.strip().lower() if isinstance(device, str) else ""
    if re.fullmatch(r"mps(:\d+)?", name):
        raise SettingsError(f"device {name} cannot be used: {_NO_FLOAT64}", hint=f"use cuda, {_ON_CPU}")
    if name != CPU and not re.fullmatch(r"cuda(:\d+)?", name):
        raise SettingsError(f"device is {device!r}", hint="use cpu, cuda, or one of several GPUs: cuda:0, cuda:1")
    if name != CPU and backend not in ("auto", GPU_BACKEND):
        raise SettingsError(
            f"the {backend} back end does not run on device {name}",
            hint=f"only {GPU_BACKEND} does: use backend {GPU_BACKEND} or auto, {_ON_CPU}",
        )
    return name


def require_device(device: str) -> None:
    """It is there and computes in float64.

    Raises:
        SettingsError: it is not; says what is missing.
    """
    obstacle = None if device == CPU else _obstacle(device)
    if obstacle is not None:
        raise SettingsError(f"device {device} cannot be used: {obstacle[0]}", hint=obstacle[1])


def is_visible(device: str) -> bool:
    """The device can be used here."""
    return device == CPU or _obstacle(device) is None


def _obstacle(device: str) -> tuple[str, str] | None:
    """Why the device cannot be used and what to do, None if it can."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return f"this torch build ({torch.__version__}) has no CUDA", f"install torch with CUDA, {_ON_CPU}"
    if not torch.cuda.is_available():
        advice = f"see what nvidia-smi says, compare the driver with CUDA {torch.version.cuda or 'of torch'}, and look "
        return "no CUDA device is visible", f"{advice}at CUDA_VISIBLE_DEVICES, {_ON_CPU}"
    count = torch.cuda.device_count()
    number = torch.device(device).index
    if number is not None and number >= count:
        names = ", ".join(f"cuda:{k}" for k in range(count))
        return f"{count} CUDA device{'s are' if count > 1 else ' is'} visible", f"use cuda or {names}, {_ON_CPU}"
    try:
        ones = torch.ones(2, dtype=torch.float64, device=device)
        works = float((ones + ones).sum()) == 4.0
    except (RuntimeError, AssertionError) as error:
        return _first_line(error), f"use another device, {_ON_CPU}"
    return None if works else ("it computes 1 + 1 wrongly", f"use another device, {_ON_CPU}")


def out_of_memory(device: str, error: Exception) -> SettingsError:
    """For memory that ran out in the middle of a computation."""
    return SettingsError(
        f"device {device} ran out of memory: {_first_line(error)}",
        hint="free it of other programs, or leave out the device",
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
