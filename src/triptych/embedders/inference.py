"""Sessions of ONNX Runtime: loaded from hashed bytes, and run with one kind of error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from triptych.embedders.devices import Device, Execution
from triptych.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime as ort

HASH_BLOCK_BYTES = 1024 * 1024
SMALLEST_NORM = 1e-12
ON_CPU = Execution()
ON_CPU_REMEDY = "Set TRIPTYCH_EMBED_DEVICE=cpu, or name another model."
REMEDY = "Set TRIPTYCH_EMBEDDER to an ONNX image encoder, `bundled` or `none`."


@dataclass(frozen=True, slots=True)
class Graph:
    """A loaded ONNX graph."""

    session: ort.InferenceSession
    name: str
    """The file's."""
    digest: hashlib._Hash
    """SHA-256 state of the file and its external data; copy it to continue."""

    @property
    def outputs(self) -> list[str]:
        """Names of its outputs."""
        return [str(output.name) for output in self.session.get_outputs()]

    def output(self, wanted: str | None, known: Sequence[str]) -> str:
        """Choose the output: the wanted one, or the first known one, or the first.

        Raises:
            ModelError: no output has the wanted name.
        """
        names = self.outputs
        if wanted is None:
            return next((name for name in known if name in names), names[0])
        if wanted not in names:
            raise ModelError(
                f"{self.name} has no output {wanted!r}.", remedy=f"It has: {', '.join(names)}."
            )
        return wanted

    def run(self, output: str, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return one output, as float32.

        Raises:
            ModelError: the graph fails.
        """
        try:
            (found,) = self.session.run([output], dict(feeds))
        except Exception as error:
            # ONNX Runtime's exceptions have no common base of their own.
            raise ModelError(f"The model {self.name} failed ({first_line(error)}).") from error
        return np.asarray(found, dtype=np.float32)


def load_graph(
    path: Path, *, threads: int, external_data: Sequence[str] = (), execution: Execution = ON_CPU
) -> Graph:
    """Load an ONNX file.

    It is loaded from the bytes that are hashed, so weights in other files are found only if the
    description names them: they are part of the model's identity, too.

    Raises:
        ModelError: it cannot be read or loaded, or not on its device, or it has weights in files
        that the description does not name.
    """
    import onnxruntime as ort

    options = _options(threads)
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content)
        if external_data:
            _add_external(digest, path, content, external_data)
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(path.parent.absolute())
            )
        session = ort.InferenceSession(content, options, providers=execution.providers(path.parent))
    except ModelError:
        raise
    except Exception as error:
        # ONNX Runtime's exceptions have no common base of their own.
        raise _not_loaded(path, error, execution) from error
    if execution.device.provider not in session.get_providers():
        # ONNX Runtime would use the CPU instead, and only log it.
        raise ModelError(
            f"{path.name} cannot be run on {execution.device.value}.", remedy=ON_CPU_REMEDY
        )
    return Graph(session, path.name, digest)


def _not_loaded(path: Path, error: Exception, execution: Execution) -> ModelError:
    remedy = REMEDY
    if "external" in str(error).lower():
        remedy = (
            f"If its weights are in other files, name them in {path.name}.json: "
            '{"external_data": ["…"]}; or set TRIPTYCH_EMBEDDER to another model.'
        )
    elif execution.device is not Device.CPU:
        remedy = f"It may be the device, {execution.device.value}. {ON_CPU_REMEDY}"
    return ModelError(
        f"{path} cannot be loaded as an ONNX model ({first_line(error)}).", remedy=remedy
    )


def _options(threads: int) -> ort.SessionOptions:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would use the processor that decoding and fetching need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return vectors of length one, row by row."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, SMALLEST_NORM), dtype=np.float32)


def first_line(error: Exception) -> str:
    """Return an error's first line."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _add_external(
    digest: hashlib._Hash, path: Path, content: bytes, external_data: Sequence[str]
) -> None:
    # Slow to import, and needed only for such models; their ONNX files are small.
    import onnx

    graph = onnx.load_model_from_string(content).graph
    used = {
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if unnamed := sorted(used - set(external_data)):
        raise ModelError(
            f"{path.name} has weights in {', '.join(unnamed)}, not named in its description.",
            remedy=f"Name every such file in `external_data` of {path.name}.json.",
        )
    for name in sorted(external_data):
        with path.with_name(name).open("rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
