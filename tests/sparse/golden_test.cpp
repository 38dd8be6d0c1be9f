// SPDX-License-Identifier: Apache-2.0
// Values and gradients of spconv's layers (tools/golden_spconv.py), float, its CPU algorithm.
#include "../support/check.hpp"

#include <sqs/sparse/convolution.hpp>
#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/pooling.hpp>
#include <sqs/sparse/weights.hpp>
#include <sqs/tensor/safetensors.hpp>

#include <cmath>

namespace golden_test {

using namespace sqs;
using position = sparse::sites<3>::position;

const safetensors_file& golden() {
  static const auto file =
      read_safetensors(std::filesystem::path(SQS_TEST_SOURCE_DIR) / "sparse/golden/spconv.safetensors");
  return file;
}

class spconv : public ::testing::TestWithParam<std::string> {
protected:
  const stored_tensor& stored(const std::string& name) const { return golden().at(GetParam() + "/" + name); }
  template <class T, int R> tensor<T, R> get(const std::string& name) const {
    return to_tensor<T, R>(stored(name), name);
  }
  bool is(const char* kind) const { return GetParam().starts_with(kind); }
  position geometry(int row) const {
    const auto g = get<std::int32_t, 2>("geometry");
    return {g(row, 0), g(row, 1), g(row, 2)};
  }
  tensor<float, 3> weight(const std::string& name) const {
    sparse::weight_rule<3> rule;
    rule.taps.extent = geometry(0);
    return to_tensor<float, 3>(sparse::import_weight(stored(name), rule), name);
  }
  sparse::site_plan<3> plan(const sparse::sites<3>& at) {
    sparse::relation<3> r;
    r.taps.extent = geometry(0), r.stride = geometry(1), r.pad = geometry(2), r.dilation = geometry(3);
    if (is("submanifold")) { return {sparse::make_submanifold_plan(e, at, r.taps, r.dilation), at, at}; }
    return is("transposed") ? sparse::make_transposed_plan(e, at, r) : sparse::make_convolution_plan(e, at, r);
  }
  /// Row i of `at` in order of the coordinates, as the file has them.
  std::vector<idx> rows_in_order(const sparse::sites<3>& at) const {
    const auto wanted = get<std::int32_t, 2>("at_out");
    std::vector<idx> rows;
    EXPECT_EQ(wanted.extent(0), at.rows);
    for (idx i = 0; i < wanted.extent(0); ++i) {
      rows.push_back(at.find({wanted(i, 0), wanted(i, 1), wanted(i, 2), wanted(i, 3)}));
      EXPECT_GE(rows.back(), 0) << "the site of row " << i << " is missing";
    }
    return rows;
  }
  /// The values in order, and the gradient the file was made with, in the order of the rows.
  tensor<float, 2> expect_values(const tensor<float, 2>& y, const sparse::sites<3>& at) {
    const auto expected = get<float, 2>("y");
    const auto rows = rows_in_order(at);
    auto dy = zeros<float, 2>(e, y.shape());
    for (idx i = 0; i < expected.extent(0); ++i) {
      const idx row = rows[static_cast<std::size_t>(i)];
      for (idx c = 0; c < y.extent(1); ++c) {
        EXPECT_NEAR(y(row, c), expected(i, c), 2e-6f * (1 + std::abs(expected(i, c)))) << i << ", " << c;
        dy(row, c) = static_cast<float>(std::cos(1 + 0.37 * static_cast<double>(i * y.extent(1) + c)));
      }
    }
    return dy;
  }
  template <int R> void expect_equal(const tensor<float, R>& a, const tensor<float, R>& b, const char* what) {
    ASSERT_EQ(a.shape(), b.shape()) << what;
    for (idx i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a.data()[i], b.data()[i], 1e-5f * (1 + std::abs(b.data()[i]))) << what << " " << i;
    }
  }
  cpu e{.threads = 2};
};

TEST_P(spconv, agrees) {
  const auto grid = position{9, 8, 7};
  const auto at = sparse::make_sites<3>(e, get<std::int32_t, 2>("at"), grid, 2);
  const auto x = get<float, 2>("x");
  const auto first = plan(at);
  const auto none = empty<float, 1>(e, {0});
  const auto grid_out = get<std::int32_t, 1>("grid_out");
  const auto& last = is("inverse") ? first.input : first.output;
  for (std::size_t a = 0; a < 3; ++a) { EXPECT_EQ(last.grid()[a], grid_out(static_cast<idx>(a))) << a; }
  if (is("max_pool")) {
    const sparse::pooling_op op{first.plan};
    const auto [y, saved] = op.forward(e, x);
    // spconv's pool starts from 0: a voxel whose inputs are all negative gives 0 there, and its maximum here.
    auto clipped = empty<float, 2>(e, y.shape());
    for (idx i = 0; i < y.size(); ++i) { clipped.data()[i] = std::max(y.data()[i], 0.0f); }
    auto dy = expect_values(clipped, last);
    for (idx i = 0; i < y.size(); ++i) { dy.data()[i] = y.data()[i] > 0 ? dy.data()[i] : 0.0f; } // 0 came from no input
    expect_equal(op.backward(e, saved, dy), get<float, 2>("dx"), "dx");
    return;
  }
  const sparse::convolution_op op{first.plan};
  const auto [y, saved] = op.forward(e, x, weight("w0"), none);
  if (!is("inverse")) {
    const auto [dx, dw, db] = op.backward(e, saved, expect_values(y, last), {true, true, false});
    expect_equal(dx, get<float, 2>("dx"), "dx");
    expect_equal(dw, weight("dw0"), "dw");
    return;
  }
  const sparse::convolution_op back{sparse::make_inverse_plan(first).plan};
  const auto [z, saved_back] = back.forward(e, y, weight("w1"), none);
  const auto [dy, dw1, db1] = back.backward(e, saved_back, expect_values(z, last), {true, true, false});
  const auto [dx, dw0, db0] = op.backward(e, saved, dy, {true, true, false});
  expect_equal(dw1, weight("dw1"), "dw of the inverse");
  expect_equal(dw0, weight("dw0"), "dw");
  expect_equal(dx, get<float, 2>("dx"), "dx");
}

INSTANTIATE_TEST_SUITE_P(layers, spconv,
                         ::testing::Values("submanifold_333", "submanifold_555", "submanifold_331",
                                           "submanifold_dilated", "submanifold_111", "regular_333", "strided_333",
                                           "strided_222", "strided_351", "transposed_333", "transposed_222",
                                           "inverse_333", "max_pool_222", "max_pool_333"),
                         [](const auto& one) { return one.param; });

} // namespace golden_test
