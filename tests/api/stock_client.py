"""A gRPC client that knows nothing of clearmld: it learns the services by reflection and calls them.

Usage: stock_client.py SOCKET. Prints "ok", or fails.
"""

import sys

try:
    import grpc
    from google.protobuf import descriptor_pool, message_factory
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
except ImportError as error:
    sys.exit(f"{error}; install with: {sys.executable} -m pip install grpcio grpcio-reflection grpcio-health-checking")

# grpc-core sends the percent-encoded path as :authority, which HTTP/2 servers reject: give it another one.
channel = grpc.insecure_channel(f"unix:{sys.argv[1]}", options=[("grpc.default_authority", "localhost")])

database = ProtoReflectionDescriptorDatabase(channel)
services = set(database.get_services())
wanted = {f"clearmld.v1.{name}" for name in ("Host", "Workers", "Runs", "Queues", "Tasks")}
wanted |= {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
assert wanted <= services, f"missing: {wanted - services}"

health = health_pb2_grpc.HealthStub(channel)
for service in ("", "clearmld.v1.Host", "clearmld.v1.Tasks"):
    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING, service

pool = descriptor_pool.DescriptorPool(database)


def caller(service, method):
    """The method of that name, found by reflection."""
    found = pool.FindServiceByName(f"clearmld.v1.{service}").methods_by_name[method]
    request = message_factory.GetMessageClass(found.input_type)
    answer = message_factory.GetMessageClass(found.output_type)
    make = channel.unary_stream if found.server_streaming else channel.unary_unary
    rpc = make(f"/clearmld.v1.{service}/{method}", request.SerializeToString, answer.FromString)
    return lambda **fields: rpc(request(**fields), timeout=10)


assert caller("Host", "GetStatus")().host == "host"
workers = caller("Workers", "List")().workers
assert [worker.name for worker in workers] == ["host:gpu0"], workers
added = caller("Workers", "Add")(name="host:python", queues=["default"], gpus="none")
assert added.gpus == "none", added
text = b"".join(chunk.data for chunk in caller("Runs", "StreamLogs")(key="run1fail", last_bytes=5))
assert text == b" 'x'\n", text

try:
    caller("Workers", "Get")(name="nobody")
    sys.exit("a worker that does not exist was found")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
    assert dict(error.trailing_metadata())["clearmld-reason"] == "not_found", error

print("ok")
