// libtorch carries gloo inside and the header of its process group, but not gloo's own headers. That header needs these few
// declarations, none of whose objects are made, read or destroyed outside libtorch: see ../ranks.cpp.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

} // namespace gloo
