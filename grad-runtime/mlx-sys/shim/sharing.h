// Elements that several threads read at the same time, each through a descriptor of its own.
//
// MLX does not lock a descriptor: evaluation writes its status, its event and its inputs. What descriptors share is the buffer,
// and MLX counts the references to that atomically. So a shared array is a descriptor that is complete when `share` returns: it
// is available and has no primitive, inputs, siblings or event. It is not passed to MLX; any thread may read it to `open` one of
// its own, at the same time as others, and the last thread frees it. This is sound because of what MLX does with buffers:
//   - An operation writes to the buffer of an operand only if `array::is_donatable`, that is, if the count is 1. The shared
//     descriptor is one reference, and each array that is opened another. A thread that finds the count to be 1 has the only
//     reference, which no other thread can copy.
//   - Operations of other threads that are still reading count too: after each operation `cpu::eval` and `gpu::eval` give their
//     stream references to the buffers of the inputs, and it drops them when the operation is done.
//   - Nothing writes to the buffer of an array that is available. The outputs of one primitive have a buffer each, or views of
//     one, and are complete together. So it makes no difference whether the streams, or the thread, that computed it still exist.
//   - The allocators lock when they free a buffer, so any thread may do it.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "collectives.h"
#include "errors.h"
#include "graph.h"
#include "mlx/transforms.h"
#include "outputs.h"

namespace {

// The streams of this thread, but for its default ones where those are MLX's own. `enter_thread` creates the list, so that it
// lives as long as MLX's own state of the thread.
std::vector<mx::Stream>& streams_of_thread() {
  static thread_local std::vector<mx::Stream> streams;
  return streams;
}

void add_stream_of_thread(mx::Stream stream) {
  auto& streams = streams_of_thread();
  if (std::find(streams.begin(), streams.end(), stream) == streams.end()) {
    streams.push_back(stream);
  }
}

// Blocks until every operation that this thread has started is done.
void synchronize_thread() {
  for (auto device : {mx::Device::cpu, mx::Device::gpu}) {
    if (auto stream = mx::peek_default_stream(device)) {
      add_stream_of_thread(*stream);
    }
  }
  for (auto stream : streams_of_thread()) {
    mx::synchronize(stream);
  }
}

// Returns descriptors of the arrays for other threads. Shapes, strides and offsets stay as they are, so a view of an array keeps
// the buffer of the whole alive.
Arrays share(Arrays arrays) {
  evaluate(arrays);
  for (auto& a : arrays) {
    // Rethrows what made an asynchronous evaluation fail.
    a.wait();
    if (a.status() != array::Status::available || a.event().valid() || !a.data_shared_ptr()) {
      throw std::logic_error("MLX has evaluated the array, but its elements are not available");
    }
  }
  if (mx::is_available(mx::Device::gpu)) {
    // The first time that the CPU reads a buffer of CUDA, `Buffer::raw_ptr` replaces its memory by unified memory and frees
    // the other, without a lock. So this is done here, where only this thread has the buffer, and when none of its operations
    // reads the old memory any more. Later calls find unified memory, and change nothing. Metal's memory is unified already.
    synchronize_thread();
    for (auto& a : arrays) {
      mx::allocator::Buffer buffer = a.buffer();
      buffer.raw_ptr();
    }
  }
  Arrays shared;
  for (const auto& a : arrays) {
    shared.push_back(share_elements(a));
  }
  return shared;
}

} // namespace

extern "C" bool grad_mlx_share(abi::ArrayVec outputs, abi::ArraySlice arrays) noexcept {
  return return_list(outputs, [&] { return share(to_arrays(arrays)); });
}

extern "C" bool grad_mlx_open(array* output, const array* shared) noexcept {
  return return_array(output, [&] { return share_elements(*shared); });
}
