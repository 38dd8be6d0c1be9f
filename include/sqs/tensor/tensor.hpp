// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tensor: a counted handle to a row-major array of static rank and run-time extents.

#include <sqs/exec/concept.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <type_traits>

namespace sqs {

template <int Rank> using extents = std::array<idx, static_cast<std::size_t>(Rank)>;

template <std::size_t R> constexpr idx element_count(const std::array<idx, R>& e) {
  idx n = 1;
  for (const idx v : e) { n *= v; }
  return n;
}

/// A row-major array of `Rank` extents in memory space `Space`. Copying shares the elements and counts the handles;
/// they go back to their pool with the last one. Rank 0 is a scalar.
///
/// Execution   Distinct handles may be used from distinct threads; see `pool` for where the last one must go.
template <class T, int Rank, class Space = host> class tensor {
  static_assert(Rank >= 0 && std::is_trivially_copyable_v<T>);

public:
  using value_type = T;
  using memory_space = Space;
  static constexpr int rank = Rank;

  tensor() = default;
  tensor(block_handle block, T* data, extents<Rank> e) : block_(std::move(block)), data_(data), extents_(e) {}

  T* data() { return data_; }
  const T* data() const { return data_; }
  idx size() const { return data_ == nullptr ? 0 : element_count(extents_); }
  const extents<Rank>& shape() const { return extents_; }
  idx extent(int i) const { return extents_[static_cast<std::size_t>(i)]; }
  /// True once the tensor has storage; a default-made or moved-from tensor has none.
  explicit operator bool() const { return static_cast<bool>(block_); }
  /// True when no other handle shares the elements: only then may they be overwritten.
  bool unique() const { return block_.unique(); }
  /// The counted block behind the elements: for those who keep tensors without their type.
  const block_handle& block() const { return block_; }
  block_handle release() && { return std::move(block_); }

  template <class... I> T& operator()(I... i) { return data_[offset(i...)]; }
  template <class... I> const T& operator()(I... i) const { return data_[offset(i...)]; }
  std::span<T> span() { return {data_, static_cast<std::size_t>(size())}; }
  std::span<const T> span() const { return {data_, static_cast<std::size_t>(size())}; }
  T* begin() { return data_; }
  T* end() { return data_ + size(); }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size(); }

  /// The same elements under other extents.
  ///
  /// Errors      precondition_error if the counts differ.
  template <int Other> tensor<T, Other, Space> reshaped(extents<Other> e) const {
    expects(element_count(e) == size(), "sqs::tensor: cannot reshape ", size(), " elements to ", element_count(e),
            "; the counts must agree");
    return {block_, data_, e};
  }
  /// Row(s) [begin, end) of the first dimension, sharing the elements.
  tensor rows(idx first, idx last) const {
    static_assert(Rank > 0);
    expects(0 <= first && first <= last && last <= extents_[0], "sqs::tensor: rows ", first, " to ", last, " of ",
            extents_[0], " do not exist; give 0 <= first <= last <= extent(0)");
    extents<Rank> e = extents_;
    e[0] = last - first;
    return {block_, data_ + (extents_[0] == 0 ? 0 : first * (size() / extents_[0])), e};
  }

private:
  template <class... I> idx offset(I... i) const {
    static_assert(sizeof...(I) == Rank, "sqs::tensor: give one index per dimension");
    [[maybe_unused]] std::size_t d = 0;
    idx o = 0;
    ((SQS_ASSERT(idx(i) >= 0 && idx(i) < extents_[d]), o = o * extents_[d++] + static_cast<idx>(i)), ...);
    return o;
  }
  block_handle block_;
  T* data_ = nullptr;
  extents<Rank> extents_{};
};

template <class X> inline constexpr bool is_tensor = false;
template <class T, int R, class S> inline constexpr bool is_tensor<tensor<T, R, S>> = true;

namespace detail {
template <std::size_t R> void check_extents(const std::array<idx, R>& e) {
  idx n = 1;
  for (const idx v : e) {
    expects(v >= 0, "sqs::tensor: extent ", v, " is negative; extents count elements");
    expects(v == 0 || n <= (idx{1} << 46) / v, "sqs::tensor: an extent of ", v,
            " makes more than 2^46 elements; check the ", "extents");
    n *= v;
  }
}
} // namespace detail

/// A tensor from the executor's pool. The elements are not set.
template <class T, int Rank, executor E> auto empty(E& e, extents<Rank> shape) {
  detail::check_extents(shape);
  block_handle b{e.memory().allocate(static_cast<std::size_t>(element_count(shape)) * sizeof(T))};
  T* data = static_cast<T*>(b.data());
  return tensor<T, Rank, typename E::memory_space>{std::move(b), data, shape};
}
/// A tensor from the executor's pool with every element `value`.
template <class T, int Rank, executor E> auto full(E& e, extents<Rank> shape, T value) {
  auto t = empty<T, Rank>(e, shape);
  if constexpr (device_executor<E> || requires { fill(e, t.data(), t.size(), value); }) {
    fill(e, t.data(), t.size(), value);
  } else {
    std::fill(t.begin(), t.end(), value);
  }
  return t;
}
template <class T, int Rank, executor E> auto zeros(E& e, extents<Rank> shape) { return full<T, Rank>(e, shape, T{}); }
/// A zeroed host tensor with memory of its own: for what outlives executors (parameters, loaded data).
template <class T, int Rank> tensor<T, Rank> make_tensor(extents<Rank> shape, T value = T{}) {
  detail::check_extents(shape);
  auto b = block_handle::alone(static_cast<std::size_t>(element_count(shape)) * sizeof(T));
  T* data = static_cast<T*>(b.data());
  tensor<T, Rank> t{std::move(b), data, shape};
  std::fill(t.begin(), t.end(), value);
  return t;
}
/// A copy with memory of its own, in another scalar type if asked.
template <class U, class T, int Rank> tensor<U, Rank> persistent_copy(const tensor<T, Rank>& x) {
  auto t = make_tensor<U, Rank>(x.shape());
  std::transform(x.begin(), x.end(), t.begin(), [](T v) { return static_cast<U>(v); });
  return t;
}

} // namespace sqs
