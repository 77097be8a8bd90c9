"""MLServer with adaptive batching and a custom runtime.

- https://docs.seldon.ai/mlserver/user-guide/adaptive-batching: off by default; ``max_batch_size`` and
  ``max_batch_time`` in ``model-settings.json``, to be found by experiment.
- https://docs.seldon.ai/mlserver/user-guide/custom: a subclass of ``MLModel``.
- https://docs.seldon.ai/mlserver/user-guide/parallel-inference: one worker process is the default; "0 will disable
  the parallel inference feature", for models as light as the cost of crossing processes.

The V2 protocol answers with tensors: ``label`` and ``confidence``, three per text, likeliest first.
"""

from __future__ import annotations

from intents import IntentModel
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver.utils import get_model_uri


class Intents(MLModel):
    async def load(self) -> bool:
        self._model = IntentModel(await get_model_uri(self._settings))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        answers = self._model(StringCodec.decode_input(payload.inputs[0]))
        intents = [intent for answer in answers for intent in answer["intents"]]
        shape = [len(answers), 3]
        outputs = [
            ResponseOutput(name="label", shape=shape, datatype="BYTES", data=[intent["label"] for intent in intents]),
            ResponseOutput(
                name="confidence", shape=shape, datatype="FP32", data=[intent["confidence"] for intent in intents]
            ),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
