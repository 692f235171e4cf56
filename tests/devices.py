"""Run the tests of behaviour on another device: ``pytest --device cuda``."""

import numbarnn as nr
from numbarnn import device, dispatch, places


def everything_on(name, patch):
    """Send every call of the library to the device, whatever layers were told.

    Parameters
    ----------
    name : {"cuda", "emulated"}
        "cuda" is Numba's simulator where NUMBA_ENABLE_CUDASIM is set, else the GPU.
    patch : pytest.MonkeyPatch
    """
    if name == "emulated":
        from emulator import EmulatedDevice

        chosen = EmulatedDevice()
        patch.setattr(device, "find", lambda *_: chosen)
    else:
        chosen = device.find()
    run = dispatch.run
    patch.setattr(places, "device_of", lambda device, x=None: chosen)
    patch.setattr(dispatch, "run", lambda *given, **options: run(*given, **options | {"device": chosen}))
    assert nr.GRU(1, dtype="float64").explain([[[0.0]]]).device == chosen.name
    return chosen
