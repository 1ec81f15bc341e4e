"""The messages of the Open Inference Protocol over gRPC, from a table instead of generated code.

Fields that mean nothing here (parameters) are not in the table: protobuf skips what it lacks.

Source: KServe, Open Inference Protocol (V2), gRPC: open_inference_grpc.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"
_PACKAGE = "inference"

#: message -> its fields in the form "[repeated] TYPE NAME = NUMBER"
_MESSAGES: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready = 1",),
    "ModelReadyRequest": ("string name = 1", "string version = 2"),
    "ModelReadyResponse": ("bool ready = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (
        "string name = 1", "string version = 2", "repeated string extensions = 3",
    ),
    "ModelMetadataRequest": ("string name = 1", "string version = 2"),
    "TensorMetadata": ("string name = 1", "string datatype = 2", "repeated int64 shape = 3"),
    "ModelMetadataResponse": (
        "string name = 1", "repeated string versions = 2", "string platform = 3",
        "repeated TensorMetadata inputs = 4", "repeated TensorMetadata outputs = 5",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1", "repeated int32 int_contents = 2",
        "repeated int64 int64_contents = 3", "repeated uint32 uint_contents = 4",
        "repeated uint64 uint64_contents = 5", "repeated float fp32_contents = 6",
        "repeated double fp64_contents = 7", "repeated bytes bytes_contents = 8",
    ),
    "InferInputTensor": (
        "string name = 1", "string datatype = 2", "repeated int64 shape = 3",
        "InferTensorContents contents = 5",
    ),
    "InferRequestedOutputTensor": ("string name = 1",),
    "ModelInferRequest": (
        "string model_name = 1", "string model_version = 2", "string id = 3",
        "repeated InferInputTensor inputs = 5", "repeated InferRequestedOutputTensor outputs = 6",
        "repeated bytes raw_input_contents = 7",
    ),
    "InferOutputTensor": ("string name = 1", "string datatype = 2", "repeated int64 shape = 3"),
    "ModelInferResponse": (
        "string model_name = 1", "string model_version = 2", "string id = 3",
        "repeated InferOutputTensor outputs = 5", "repeated bytes raw_output_contents = 6",
    ),
}  # fmt: skip


def _field(text: str) -> Any:
    words = text.replace("=", " ").split()
    proto: Any = descriptor_pb2.FieldDescriptorProto
    repeated = words[0] == "repeated"
    kind, name, number = words[repeated:]
    field = proto(name=name, number=int(number))
    field.label = proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL
    if kind in _MESSAGES:
        field.type, field.type_name = proto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(proto, f"TYPE_{kind.upper()}")
    return field


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="baluarte_inference.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        message.field.extend(_field(text) for text in fields)
    pool: Any = descriptor_pool.DescriptorPool()  # our own: a client in this process has another
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


MESSAGES: dict[str, Any] = _classes()  #: by name
