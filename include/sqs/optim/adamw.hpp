// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// AdamW over the parameters of a reflected model, with groups chosen by name and clipping by the global norm.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/exec/parallel.hpp>

#include <cmath>
#include <functional>

namespace sqs::optim {

struct adamw_config {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.01;
};

/// How a parameter is treated; decided once, by its dotted name.
struct group {
  double rate = 1;  ///< multiplies the learning rate
  double decay = 1; ///< multiplies the weight decay
};

/// AdamW (Loshchilov and Hutter 2019): decoupled weight decay, bias-corrected moments.
///
/// Execution   A flat list of handles made once at construction: a step allocates nothing and builds no names. The
///             model must outlive the optimiser's use of it, but may be moved. Bitwise equal for any thread count.
template <class T> class adamw {
public:
  struct entry {
    std::string name;
    tensor<T, 1> value, gradient, first, second;
    group settings;
  };

  /// `rule(name)` gives the group of a parameter.
  template <reflected Model, class Rule> adamw(Model& model, adamw_config config, Rule&& rule) : config_(config) {
    for_each_parameter(model, [&](const std::string& name, auto& p) {
      if (!p.trainable || p.value.size() == 0) { return; }
      const idx n = p.value.size();
      if (!p.gradient) { p.gradient = make_tensor<T, std::remove_cvref_t<decltype(p.value)>::rank>(p.value.shape()); }
      entries_.push_back({name, p.value.template reshaped<1>({n}), p.gradient.template reshaped<1>({n}),
                          make_tensor<T, 1>({n}), make_tensor<T, 1>({n}), rule(name)});
    });
    expects(!entries_.empty(), "sqs::optim::adamw: the model has no trainable parameter; nothing to optimise");
  }
  template <reflected Model> explicit adamw(Model& model, adamw_config config = {})
      : adamw(model, config, [](const std::string&) { return group{}; }) {}

  void zero_gradients() {
    for (auto& x : entries_) { std::fill(x.gradient.begin(), x.gradient.end(), T(0)); }
  }
  /// The L2 norm of all gradients together.
  double gradient_norm(cpu& e) const {
    double sum = 0;
    for (const auto& x : entries_) {
      const T* g = x.gradient.data();
      sum = reduce(
          e, x.gradient.size(), 1 << 14, sum,
          [g](idx begin, idx end) {
            double s = 0;
            for (idx i = begin; i < end; ++i) { s += static_cast<double>(g[i]) * static_cast<double>(g[i]); }
            return s;
          },
          std::plus<>{});
    }
    return std::sqrt(sum);
  }
  /// Scales all gradients so that their norm is at most `limit`. Returns the norm before.
  double clip(cpu& e, double limit) {
    const double norm = gradient_norm(e);
    if (!(norm > limit)) { return norm; }
    const T scale = static_cast<T>(limit / norm);
    for (auto& x : entries_) {
      for (T& g : x.gradient) { g *= scale; }
    }
    return norm;
  }
  /// One update with learning rate `rate`.
  void step(cpu& e, double rate) {
    ++steps_;
    const double c1 = 1 - std::pow(config_.beta1, static_cast<double>(steps_));
    const double c2 = 1 - std::pow(config_.beta2, static_cast<double>(steps_));
    const T b1 = static_cast<T>(config_.beta1), b2 = static_cast<T>(config_.beta2), eps = static_cast<T>(config_.eps);
    const T root = static_cast<T>(1 / std::sqrt(c2));
    for (auto& x : entries_) {
      const double lr = rate * x.settings.rate;
      const T keep = static_cast<T>(1 - lr * config_.weight_decay * x.settings.decay), size = static_cast<T>(lr / c1);
      T *p = x.value.data(), *m = x.first.data(), *v = x.second.data();
      const T* g = x.gradient.data();
      parallel_for(e, x.value.size(), 1 << 14, [=](idx begin, idx end) {
        for (idx i = begin; i < end; ++i) {
          m[i] = b1 * m[i] + (1 - b1) * g[i];
          v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
          p[i] = keep * p[i] - size * m[i] / (std::sqrt(v[i]) * root + eps);
        }
      });
    }
  }
  /// Follows parameters whose rows were rearranged: after the model's tensors were replaced by others of
  /// `source.size()` rows, row i gets the moments of old row source[i], or zero ones where source[i] is -1. Tensors that
  /// were not replaced keep theirs. Gradients of replaced tensors start at zero.
  ///
  /// Errors      precondition_error naming the parameter, for another number of rows and a source that does not exist.
  template <reflected Model> void follow_rows(Model& model, std::span<const idx> source) {
    for_each_parameter(model, [&](const std::string& name, auto& p) {
      constexpr int rank = std::remove_cvref_t<decltype(p.value)>::rank;
      const auto x = std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.name == name; });
      if (x == entries_.end() || x->value.data() == p.value.data()) { return; }
      idx rows = 0;
      if constexpr (rank > 0) { rows = p.value.extent(0); }
      expects(rows > 0 && rows == static_cast<idx>(source.size()), "sqs::optim::adamw: ", name, " was replaced by ",
              rows, " rows but ", source.size(),
              " sources are given; give the old row of each, and leave at least one");
      const idx columns = p.value.size() / rows;
      if (p.gradient.shape() != p.value.shape()) { p.gradient = make_tensor<T, rank>(p.value.shape()); }
      std::fill(p.gradient.begin(), p.gradient.end(), T(0));
      const entry old = *x;
      x->value = p.value.template reshaped<1>({p.value.size()});
      x->gradient = p.gradient.template reshaped<1>({p.value.size()});
      x->first = make_tensor<T, 1>({p.value.size()});
      x->second = make_tensor<T, 1>({p.value.size()});
      for (idx i = 0; i < rows; ++i) {
        const idx from = source[static_cast<std::size_t>(i)];
        if (from == -1) { continue; }
        expects(from >= 0 && (from + 1) * columns <= old.value.size(), "sqs::optim::adamw: row ", i, " of ", name,
                " comes from row ", from, " of ", old.value.size() / columns, "; give an old row or -1");
        std::copy_n(old.first.data() + from * columns, columns, x->first.data() + i * columns);
        std::copy_n(old.second.data() + from * columns, columns, x->second.data() + i * columns);
      }
    });
  }
  /// Sets the moments of one parameter to zero: for values that were changed by hand.
  ///
  /// Errors      precondition_error for an unknown name.
  void forget(const std::string& name) {
    const auto x = std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.name == name; });
    expects(x != entries_.end(), "sqs::optim::adamw: no parameter is called '", name,
            "'; give the dotted name of one that is trained");
    std::fill(x->first.begin(), x->first.end(), T(0));
    std::fill(x->second.begin(), x->second.end(), T(0));
  }
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  /// The moments, for checkpoints.
  std::vector<entry>& entries() { return entries_; }
  const std::vector<entry>& entries() const { return entries_; }

private:
  adamw_config config_;
  std::vector<entry> entries_;
  std::int64_t steps_ = 0;
};

} // namespace sqs::optim
