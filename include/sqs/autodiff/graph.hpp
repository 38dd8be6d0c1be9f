// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Variables and the two graphs. A module is written once, as a forward pass over a graph: the training graph records
/// pullbacks on its executor's tape, the inference graph records nothing.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/exec/team.hpp>

#include <optional>

namespace sqs {

/// A tensor inside a graph: a value. Copy it freely; move it at its last use, so that its memory can go.
template <class G, class T, int Rank> class variable {
public:
  using graph_type = G;
  using value_type = T;
  static constexpr int rank = Rank;
  using tensor_type = tensor<T, Rank, typename G::executor_type::memory_space>;

  variable() = default;
  variable(tensor_type value, std::uint64_t serial, int slot)
      : value_(std::move(value)),
        serial_(serial),
        slot_(slot) {}

  /// The tensor, without a gradient. No copy.
  const tensor_type& value() const { return value_; }
  const extents<Rank>& shape() const { return value_.shape(); }
  idx extent(int i) const { return value_.extent(i); }
  std::uint64_t serial() const { return serial_; }
  int slot() const { return slot_; } ///< where its gradient is collected; -1 when none is wanted
  tensor_type take() && { return std::move(value_); }

private:
  tensor_type value_;
  std::uint64_t serial_ = 0;
  int slot_ = -1;
};

template <class X> inline constexpr bool is_variable = false;
template <class G, class T, int R> inline constexpr bool is_variable<variable<G, T, R>> = true;

namespace detail {

template <class T, int R, class S> erased_tensor erase(const tensor<T, R, S>& x, block_handle block) {
  erased_tensor e{std::move(block), const_cast<T*>(x.data()), {}};
  for (int i = 0; i < R; ++i) { e.extents[i] = x.extent(i); }
  return e;
}
template <class T, int R, class S> tensor<T, R, S> restore(const erased_tensor& e) {
  extents<R> shape{};
  for (int i = 0; i < R; ++i) { shape[static_cast<std::size_t>(i)] = e.extents[i]; }
  return {e.block, static_cast<T*>(e.data), shape};
}

/// sum = a + b, on a device an element a thread; `sum` may be `a`.
template <class T> struct add_kernel {
  static constexpr const char* name = "sqs::training_graph (sum of gradients)";
  const T *a, *b;
  T* sum;
  idx n;
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (i < n) { sum[i] = static_cast<T>(a[i] + b[i]); }
  }
};
template <executor E, class T> void add(E& e, const T* a, const T* b, T* sum, idx n) {
  if constexpr (device_executor<E>) {
    if (n > 0) { launch(e, (n + 255) / 256, 256, add_kernel<T>{a, b, sum, n}); }
  } else {
    parallel_for(e, n, idx{1} << 15, [=](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) { sum[i] = static_cast<T>(a[i] + b[i]); }
    });
  }
}

struct tape_node {
  void (*run)(tape_node*, void* graph);
  void (*destroy)(tape_node*);
  tape_node* previous;
  const char* stage = "";
};

/// A stretch of named work that ends where the next one begins.
template <class E> class open_stage {
public:
  explicit open_stage(E& e) : exec_(e) {}
  void begin(const char* name, const char* direction) {
    if (scope_ && name == name_) { return; }
    scope_.reset();
    name_ = name;
    if (*name != '\0') { scope_.emplace(exec_, name, direction); }
  }
  void end() { scope_.reset(); }
  const char* name() const { return scope_ ? name_ : ""; }

private:
  E& exec_;
  const char* name_ = "";
  std::optional<profile_scope<E>> scope_;
};

} // namespace detail

/// Records every op applied to it and plays them back. Made anew for each step; its storage is the executor's, so after
/// the first steps it allocates nothing. One training graph per executor at a time; `backward` once.
template <executor E> class training_graph {
public:
  using executor_type = E;
  static constexpr bool records = true;
  template <class T, int R> using var = variable<training_graph, T, R>;

  explicit training_graph(E& e) : exec_(&e), tape_(&e.tape()), stage_(e) {
    expects(!tape_->in_use, "sqs::training_graph: the executor already records a training graph; destroy it first");
    tape_->in_use = true;
    serial_ = ++tape_->graphs_made;
  }
  ~training_graph() {
    unwind();
    tape_->gradients.clear();
    tape_->nodes.rewind();
    tape_->in_use = false;
  }
  training_graph(const training_graph&) = delete;
  training_graph& operator=(const training_graph&) = delete;

  E& exec() { return *exec_; }
  std::uint64_t serial() const { return serial_; }
  bool recording() const { return recording_; }
  /// Names the work from here to the next call, for the executor's profiler: forward now, backward when it is undone.
  void stage(const char* name) {
    stage_.begin(name, "forward");
    stage_name_ = name;
  }

  /// A variable without a gradient.
  template <class T, int R, class S> var<T, R> input(tensor<T, R, S> t) { return {std::move(t), serial_, -1}; }
  /// A variable whose gradient is wanted: read it with `gradient` after `backward`.
  template <class T, int R, class S> var<T, R> leaf(tensor<T, R, S> t) { return {std::move(t), serial_, new_slot()}; }
  /// The gradient of a leaf. Zero-sized if nothing reached it.
  template <class T, int R> auto gradient(const var<T, R>& x) const {
    const auto& slot = tape_->gradients.at(static_cast<std::size_t>(x.slot()));
    return slot.block ? detail::restore<T, R, typename E::memory_space>(slot) : typename var<T, R>::tensor_type{};
  }

  /// Adds d loss / d p into the gradient of every trainable parameter, and collects the gradients of leaves.
  ///
  /// Errors      precondition_error if the loss belongs to another graph, or nothing was recorded for it.
  template <class T> void backward(const var<T, 0>& loss) {
    expects(loss.serial() == serial_, "sqs::training_graph: the loss belongs to another (or an earlier) graph; call "
                                      "backward on the graph that computed it");
    expects(loss.slot() >= 0,
            "sqs::training_graph: the loss depends on no parameter or leaf; nothing to differentiate");
    set_gradient(loss.slot(), full<T, 0>(*exec_, {}, T(1)));
    stage_.end();
    while (last_ != nullptr) {
      detail::tape_node* n = last_;
      last_ = n->previous;
      stage_.begin(n->stage, "backward");
      const struct destroyer { // also when the op throws
        detail::tape_node* node;
        ~destroyer() { node->destroy(node); }
      } at_end{n};
      n->run(n, this);
    }
    stage_.end();
  }

  /// While it lives, the graph records nothing.
  class pause {
  public:
    explicit pause(training_graph& g) : graph_(g), before_(g.recording_) { g.recording_ = false; }
    ~pause() { graph_.recording_ = before_; }
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;

  private:
    training_graph& graph_;
    bool before_;
  };

  // -- used by apply ------------------------------------------------------------------------------------------
  int new_slot() {
    tape_->gradients.emplace_back();
    return static_cast<int>(tape_->gradients.size()) - 1;
  }
  template <class N, class... A> void push(A&&... a) {
    N* n = new (tape_->nodes.allocate(sizeof(N), alignof(N))) N(std::forward<A>(a)...);
    n->previous = last_;
    n->stage = stage_name_;
    last_ = n;
  }
  template <class T, int R, class S> void set_gradient(int slot, tensor<T, R, S> d) {
    const block_handle block = d.block();
    tape_->gradients[static_cast<std::size_t>(slot)] = detail::erase(d, block);
  }
  /// The first gradient moves in; a later one is added, in place only if nobody else holds the block.
  template <class T, int R, class S> void add_gradient(int slot, tensor<T, R, S>&& d) {
    auto& kept = tape_->gradients[static_cast<std::size_t>(slot)];
    if (!kept.block) {
      kept = detail::erase(d, std::move(d).release());
      return;
    }
    auto sum = kept.block.unique() ? tensor<T, R, S>() : empty<T, R>(*exec_, d.shape());
    T* const to = sum ? sum.data() : static_cast<T*>(kept.data);
    detail::add(*exec_, static_cast<const T*>(kept.data), std::as_const(d).data(), to, d.size());
    if (sum) { kept = detail::erase(sum, std::move(sum).release()); }
  }
  template <class T, int R, class S> tensor<T, R, S> take_gradient(int slot, const extents<R>& shape) {
    auto& kept = tape_->gradients[static_cast<std::size_t>(slot)];
    if (!kept.block) { return zeros<T, R>(*exec_, shape); }
    auto d = detail::restore<T, R, S>(kept);
    kept = {};
    return d;
  }
  bool has_gradient(int slot) const {
    return static_cast<bool>(tape_->gradients[static_cast<std::size_t>(slot)].block);
  }

private:
  void unwind() {
    while (last_ != nullptr) {
      detail::tape_node* n = last_;
      last_ = n->previous;
      n->destroy(n);
    }
  }
  E* exec_;
  tape_storage* tape_;
  detail::open_stage<E> stage_;
  const char* stage_name_ = "";
  detail::tape_node* last_ = nullptr;
  std::uint64_t serial_ = 0;
  bool recording_ = true;
};

/// Runs the same modules and records nothing: no tape, no saved tensors.
template <executor E> class inference_graph {
public:
  using executor_type = E;
  static constexpr bool records = false;
  template <class T, int R> using var = variable<inference_graph, T, R>;

  explicit inference_graph(E& e) : exec_(&e), stage_(e) {}
  void stage(const char* name) { stage_.begin(name, "forward"); }
  E& exec() { return *exec_; }
  std::uint64_t serial() const { return 0; }
  bool recording() const { return false; }
  template <class T, int R, class S> var<T, R> input(tensor<T, R, S> t) { return {std::move(t), 0, -1}; }
  template <class T, int R, class S> var<T, R> leaf(tensor<T, R, S> t) { return {std::move(t), 0, -1}; }

private:
  E* exec_;
  detail::open_stage<E> stage_;
};

/// A graph: what modules are applied on.
template <class G>
concept graph = requires(G& g) {
  typename G::executor_type;
  { G::records } -> std::convertible_to<bool>;
  g.exec();
};

/// The same tensor without a gradient.
template <graph G, class T, int R> variable<G, T, R> stop_gradient(G& g, const variable<G, T, R>& x) {
  return g.input(x.value());
}

} // namespace sqs
