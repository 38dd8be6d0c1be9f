// SPDX-License-Identifier: Apache-2.0
// Weights of other engines: every element by its own coordinates, the 1 x 1 x 1 trap, names, errors.
#include "../support/check.hpp"

#include <sqs/autodiff/checkpoint.hpp>
#include <sqs/sparse/block.hpp>
#include <sqs/sparse/weights.hpp>
#include <sqs/tensor/safetensors.hpp>

namespace weights_test {

using namespace sqs;
using namespace sqs::test;
using sparse::one_tap_rule;
using sparse::taps;
using sparse::weight_layout;
using testing::HasSubstr;

/// The number of a weight: its tap (x, y, z) and channels as digits.
float code(idx x, idx y, idx z, idx in, idx out) {
  return static_cast<float>((((x * 10 + y) * 10 + z) * 10 + in) * 10 + out);
}
stored_tensor stored(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  stored_tensor t{"F32", std::move(shape), std::vector<std::byte>(values.size() * 4)};
  std::memcpy(t.data.data(), values.data(), t.data.size());
  return t;
}
/// Extents 3, 2, 1 of the kernel, 4 channels in, 5 out. `loops` lists the axes from the slowest to the fastest, by their
/// letters x y z i o.
stored_tensor written(const std::string& loops, std::vector<std::int64_t> shape) {
  const std::map<char, idx> extent{{'x', 3}, {'y', 2}, {'z', 1}, {'i', 4}, {'o', 5}};
  std::vector<float> values;
  for (idx n = 0; n < 3 * 2 * 4 * 5; ++n) {
    std::map<char, idx> at;
    idx rest = n;
    for (auto axis = loops.rbegin(); axis != loops.rend(); ++axis) {
      at[*axis] = rest % extent.at(*axis);
      rest /= extent.at(*axis);
    }
    values.push_back(code(at['x'], at['y'], at['z'], at['i'], at['o']));
  }
  return stored(std::move(shape), values);
}
void expect_in_place(const stored_tensor& t) {
  ASSERT_EQ(t.shape, (std::vector<std::int64_t>{6, 4, 5}));
  const auto w = to_tensor<float, 3>(t, "weight");
  for (idx x = 0; x < 3; ++x) {
    for (idx y = 0; y < 2; ++y) {
      for (idx i = 0; i < 4; ++i) {
        for (idx o = 0; o < 5; ++o) { ASSERT_EQ(w(x * 2 + y, i, o), code(x, y, 0, i, o)); }
      }
    }
  }
}

TEST(import_weight, every_layout_puts_every_number_in_its_place) {
  const taps<3, 2, 1> kernel;
  expect_in_place(sparse::import_weight<3>(written("oxyzi", {5, 3, 2, 1, 4}), {weight_layout::spconv, kernel}));
  expect_in_place(sparse::import_weight<3>(written("xyzio", {3, 2, 1, 4, 5}), {weight_layout::spconv_1, kernel}));
  expect_in_place(sparse::import_weight<3>(written("xyzoi", {3, 2, 1, 5, 4}), {weight_layout::spconv_20, kernel}));
  expect_in_place(sparse::import_weight<3>(written("zyxio", {6, 4, 5}), {weight_layout::minkowski, kernel}));
}

TEST(import_weight, one_tap_of_spconv_is_not_transposed) {
  // Stored [[a, b], [c, d], [e, f]], Cout = 3, Cin = 2: y0 = x0 a + x1 d, y1 = x0 b + x1 e, y2 = x0 c + x1 f.
  const auto krsc = stored({3, 1, 1, 1, 2}, {1, 2, 3, 4, 5, 6});
  const auto at = [](const stored_tensor& t) {
    const auto w = to_tensor<float, 3>(t, "weight");
    return std::vector<float>(w.begin(), w.end());
  };
  const taps<1, 1, 1> one;
  EXPECT_EQ(at(sparse::import_weight<3>(krsc, {weight_layout::spconv, one})), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(at(sparse::import_weight<3>(krsc, {weight_layout::spconv, one, one_tap_rule::transposed})),
            (std::vector<float>{1, 3, 5, 2, 4, 6}));
  for (const auto rule : {one_tap_rule::reinterpreted, one_tap_rule::transposed}) { // these say what they mean
    EXPECT_EQ(
        at(sparse::import_weight<3>(stored({1, 1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}), {weight_layout::spconv_1, one, rule})),
        (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(at(sparse::import_weight<3>(stored({2, 3}, {1, 2, 3, 4, 5, 6}), {weight_layout::minkowski, one, rule})),
              (std::vector<float>{1, 2, 3, 4, 5, 6}));
  }
}

TEST(import_tensors, brings_a_layer_by_its_names) {
  cpu e{.threads = 1};
  initializer init(1);
  auto block = sparse::convolution_block<float>::make(2, 1, 3, init);
  safetensors_file file;
  file.tensors["net.0.weight"] = stored({1, 3, 1, 1, 2}, {1, 2, 3, 4, 5, 6});
  file.tensors["net.1.weight"] = stored({1}, {2});
  file.tensors["net.1.bias"] = stored({1}, {3});
  file.tensors["net.1.running_mean"] = stored({1}, {4});
  file.tensors["net.1.running_var"] = stored({1}, {5});
  file.tensors["net.1.num_batches_tracked"] = stored({1}, {6});
  std::map<std::string, sparse::foreign_tensor<>> names{
      {"conv.weight", {"net.0.weight", sparse::weight_rule<>{weight_layout::spconv, taps<3, 1, 1>{}}}}};
  for (const char* part : {"weight", "bias", "running_mean", "running_var"}) {
    names[concat("norm.", part)] = {concat("net.1.", part), {}};
  }
  const auto report = load_model(block, sparse::import_tensors(file, names));
  EXPECT_TRUE(report.complete()) << report.text();
  EXPECT_EQ(block.conv.weight.value(1, 0, 0), 3);
  EXPECT_EQ(block.conv.weight.value(1, 1, 0), 4);
  EXPECT_EQ(block.norm.running_var.value(0), 5);
  names["norm.bias"].name = "net.1.shift";
  EXPECT_THAT(message_of([&] { sparse::import_tensors(file, names); }), HasSubstr("there is no tensor 'net.1.shift'"));
}

TEST(import_weight, errors) {
  EXPECT_THAT(
      message_of([&] {
        sparse::import_weight<3>(written("oxyzi", {5, 3, 2, 1, 4}), {weight_layout::spconv, taps<3, 3, 1>{}});
      }),
      HasSubstr("the stored weight is [5, 3, 2, 1, 4], this layout and kernel need [Cout, 3 x 3 x 1 (the kernel), "
                "Cin]; check the kernel and the version of the engine that wrote it"));
  EXPECT_THAT(message_of([&] {
                sparse::import_weight<3>(written("zyxio", {6, 4, 5}), {weight_layout::minkowski, taps<3, 3, 1>{}});
              }),
              HasSubstr("need [9, Cin, Cout]"));
  auto damaged = written("zyxio", {6, 4, 5});
  damaged.data.pop_back();
  EXPECT_THAT(message_of([&] {
                sparse::import_weight<3>(damaged, {weight_layout::minkowski, taps<3, 2, 1>{}});
              }),
              HasSubstr("479 bytes of F32 are no 6 x 4 x 5 weights; the file is damaged"));
}

} // namespace weights_test
