// Stands in for @grpc/proto-loader in the bundle: nothing in the agent loads .proto files at run time.
module.exports = {};
