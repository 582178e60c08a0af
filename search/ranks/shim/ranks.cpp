// libtorch's c10d in a C interface: a store, and sums over all ranks.
//
// Every function returns null, or what went wrong as text that the caller frees. There is one group a process; it is never
// destroyed, because its destructor would wait for ranks that may be gone.

#define USE_C10D_GLOO 1

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using std::chrono::milliseconds;

// A rank may be busy for as long as it likes; whether it is alive, the watch knows.
constexpr milliseconds kPatience = std::chrono::hours(24 * 7);

struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

Group* the_group = nullptr;

// Wakes whoever waits for the others; shared with callbacks that may come late.
struct Bell {
  std::mutex mutex;
  std::condition_variable rung;
  bool given_up = false;
};

Bell& bell() {
  static Bell* bell = new Bell;
  return *bell;
}

void require_hope() {
  std::lock_guard<std::mutex> lock(bell().mutex);
  if (bell().given_up) {
    throw std::runtime_error("the group of ranks has been given up");
  }
}

Group& group() {
  if (the_group == nullptr) {
    throw std::runtime_error("this process has joined no ranks");
  }
  return *the_group;
}

// Sums a contiguous tensor in host memory over all ranks, in place.
void sum_on_host(at::Tensor tensor) {
  require_hope();
  c10d::AllreduceOptions options;
  options.timeout = kPatience;
  std::vector<at::Tensor> tensors{std::move(tensor)};
  auto work = group().gloo->allreduce(tensors, options);
  auto future = work->getFuture();
  future->addCallback([](c10::ivalue::Future&) {
    std::lock_guard<std::mutex> lock(bell().mutex);
    bell().rung.notify_all();
  });
  {
    std::unique_lock<std::mutex> lock(bell().mutex);
    bell().rung.wait(lock, [&] { return future->completed() || bell().given_up; });
    if (!future->completed()) {
      throw std::runtime_error("the group of ranks has been given up");
    }
  }
  // Hands over an error of the transport.
  future->wait();
}

at::Tensor sum_of_all(const at::Tensor& input) {
  at::NoGradGuard guard;
  // Gloo sums in host memory; on a GPU this copies there and back.
  auto host = input.detach().to(at::kCPU).contiguous();
  if (host.is_alias_of(input)) {
    host = host.clone();
  }
  sum_on_host(host);
  return host.to(input.device());
}

// With y = the sum over the ranks of their x, and a loss that is the sum of the ranks' losses, the derivative by every x is the sum over
// the ranks of their derivatives by y.
struct Sum : public torch::autograd::Function<Sum> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& input) {
    return sum_of_all(input);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext*,
      torch::autograd::variable_list by_result) {
    return {sum_of_all(by_result[0])};
  }
};

char* text(const std::string& words) {
  char* copy = static_cast<char*>(std::malloc(words.size() + 1));
  if (copy != nullptr) {
    std::memcpy(copy, words.c_str(), words.size() + 1);
  }
  return copy;
}

template <typename Work>
char* guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error& error) {
    return text(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return text(error.what());
  } catch (...) {
    return text("an exception of unknown kind");
  }
}

} // namespace

extern "C" {

void caf_ranks_free(char* words) {
  std::free(words);
}

// Joins the store; its server runs in this process if `serves`.
char* caf_ranks_open(
    const char* host,
    uint16_t port,
    bool serves,
    const char* prefix,
    int size,
    int64_t timeout_ms) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.numWorkers = static_cast<std::size_t>(size);
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout_ms);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    the_group = new Group{c10::make_intrusive<c10d::PrefixStore>(prefix, store), nullptr};
  });
}

// Connects this rank with all others, at `address` of this machine, or that of the network interface where one is named.
//
// Gloo's part of it cannot be interrupted: it has a thread of its own, which is left behind when the group is given up.
char* caf_ranks_connect(int rank, int size, const char* address, const char* interface, int64_t timeout_ms) {
  return guarded([&] {
    require_hope();
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout_ms));
    options->devices.push_back(
        *interface != '\0' ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                           : c10d::ProcessGroupGloo::createDeviceForHostname(address));
    struct Attempt {
      c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
      std::exception_ptr error;
      bool is_over = false;
    };
    auto attempt = std::make_shared<Attempt>();
    std::thread([attempt, options, rank, size, store = group().store] {
      c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
      std::exception_ptr error;
      try {
        gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
      } catch (...) {
        error = std::current_exception();
      }
      std::lock_guard<std::mutex> lock(bell().mutex);
      attempt->gloo = std::move(gloo);
      attempt->error = error;
      attempt->is_over = true;
      bell().rung.notify_all();
    }).detach();
    std::unique_lock<std::mutex> lock(bell().mutex);
    bell().rung.wait(lock, [&] { return attempt->is_over || bell().given_up; });
    if (!attempt->is_over) {
      throw std::runtime_error("the group of ranks has been given up");
    }
    if (attempt->error) {
      std::rethrow_exception(attempt->error);
    }
    group().gloo = attempt->gloo;
  });
}

char* caf_ranks_put(const char* key, const char* value) {
  return guarded([&] {
    std::string words(value);
    group().store->set(key, std::vector<uint8_t>(words.begin(), words.end()));
  });
}

// Waits until the key is there.
char* caf_ranks_get(const char* key, char** value) {
  return guarded([&] {
    auto pause = milliseconds(1);
    while (!group().store->check({key})) {
      require_hope();
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, milliseconds(100));
    }
    auto bytes = group().store->get(key);
    *value = text(std::string(bytes.begin(), bytes.end()));
  });
}

// The sum over all ranks; derivatives are recorded if those of the input are.
char* caf_ranks_sum(const at::Tensor* input, at::Tensor** result) {
  return guarded([&] { *result = new at::Tensor(Sum::apply(*input)); });
}

// Ends all waiting, now and later.
void caf_ranks_give_up() {
  std::lock_guard<std::mutex> lock(bell().mutex);
  bell().given_up = true;
  bell().rung.notify_all();
}
}
