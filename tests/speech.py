"""Speak a text into a WAV file: ``python speech.py VOICE FILE TEXT``.

Tests run it as a process of its own: the voice is espeak-ng's, a GPL library that nothing else may
load. Its package brings library and data for every platform.
"""

from __future__ import annotations

import ctypes
import sys
import wave

import espeakng_loader

SYNCHRONOUS = 2
RATE_PARAMETER, WORDS_A_MINUTE = 1, 140
UTF8 = 1


def main() -> None:
    voice, file, text = sys.argv[1:]
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
    spoken = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _: int) -> int:
        if samples and count > 0:
            spoken.extend(ctypes.string_at(samples, count * 2))
        return 0

    library.espeak_SetSynthCallback(take)
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_SetParameter(RATE_PARAMETER, WORDS_A_MINUTE, 0)
    said = text.encode()
    library.espeak_Synth(said, len(said) + 1, 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(spoken))


if __name__ == "__main__":
    main()
