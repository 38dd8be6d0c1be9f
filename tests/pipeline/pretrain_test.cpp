// SPDX-License-Identifier: Apache-2.0
// Training as promised: it learns, it resumes bit for bit, threads do not matter, bad checkpoints are refused.
#include "../support/scratch.hpp"
#include "../support/tiny_policy.hpp"

#include <sqs/pipeline/sample_source.hpp>

#include <fstream>
#include <set>

namespace pretrain_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;
namespace fs = std::filesystem;

using policy = tiny_policy<float>;
struct wide_policy : policy {
  static constexpr const char* name = "wide";
  static constexpr idx queries = 16;
};

std::vector<float> all_numbers(pipeline::pretrain<policy>& run) {
  std::vector<float> out;
  for_each_tensor(run.network(),
                  [&](const std::string&, const auto& p) { out.insert(out.end(), p.value.begin(), p.value.end()); });
  return out;
}
std::vector<std::byte> bytes_of_file(const fs::path& p) { return read_file(p); }

TEST(pretrain, loss_falls) {
  auto settings = policy::training;
  settings.steps = 60;
  settings.rate = 5e-3;
  pipeline::pretrain<policy> run(cpu{.threads = 2}, 1, settings);
  auto s = made_up_sample<float>(3);
  std::fill(s.rgb.begin(), s.rgb.end(), 0.8f); // a target it can reach
  double first = 0, last = 0;
  for (int k = 0; k < 60; ++k) {
    last = run.step(s).loss;
    first = k == 0 ? last : first;
  }
  EXPECT_LT(last, 0.6 * first) << "from " << first;
}

TEST(pretrain, killed_and_resumed_equals_uninterrupted_for_any_thread_count) {
  const scratch_folder folder;
  const std::vector samples{made_up_sample<float>(3), made_up_sample<float>(4)};
  const auto advance = [&](pipeline::pretrain<policy>& run, int to) {
    while (run.steps() < to) { run.step(samples[static_cast<std::size_t>(run.steps()) % 2]); }
  };
  pipeline::pretrain<policy> whole(cpu{.threads = 1}, 9);
  advance(whole, 12);
  whole.save(folder / "whole.safetensors");
  for (const int threads : {2, 4}) {
    {
      pipeline::pretrain<policy> first(cpu{.threads = 3}, 9);
      advance(first, 5);
      first.save(folder / "part.safetensors");
      advance(first, 7); // work after the last save is lost, as by a kill
    }
    pipeline::pretrain<policy> second(cpu{.threads = threads}, 9);
    EXPECT_EQ(second.resume(folder / "part.safetensors"), "");
    EXPECT_EQ(second.steps(), 5);
    advance(second, 12);
    EXPECT_EQ(all_numbers(second), all_numbers(whole));
    second.save(folder / "second.safetensors");
    EXPECT_EQ(bytes_of_file(folder / "second.safetensors"), bytes_of_file(folder / "whole.safetensors"));
  }
}

TEST(pretrain, a_damaged_checkpoint_falls_back_to_the_one_before) {
  const scratch_folder folder;
  const auto sample = made_up_sample<float>(3);
  pipeline::pretrain<policy> run(cpu{.threads = 1}, 9);
  run.step(sample);
  run.save(folder / "c.safetensors");
  run.step(sample);
  run.save(folder / "c.safetensors");
  auto bytes = bytes_of_file(folder / "c.safetensors");
  bytes[bytes.size() / 2] ^= std::byte{1};
  std::ofstream(folder / "c.safetensors", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  pipeline::pretrain<policy> again(cpu{.threads = 1}, 9);
  EXPECT_THAT(again.resume(folder / "c.safetensors"), HasSubstr("c.safetensors.previous because"));
  EXPECT_EQ(again.steps(), 1);
}

TEST(pretrain, foreign_checkpoints_are_refused_and_change_nothing) {
  const scratch_folder folder;
  pipeline::pretrain<wide_policy> wide(cpu{.threads = 1}, 9);
  wide.save(folder / "wide.safetensors");
  pipeline::pretrain<policy> run(cpu{.threads = 1}, 9);
  const auto before = all_numbers(run);
  EXPECT_THAT(message_of([&] { run.resume(folder / "wide.safetensors"); }),
              HasSubstr("was saved with sqs.policy = wide, this run has tiny"));
  EXPECT_THAT(message_of([&] { run.resume(folder / "none.safetensors"); }),
              HasSubstr("there is no checkpoint to resume at"));
  pipeline::pretrain<policy> other(cpu{.threads = 1}, 10);
  other.save(folder / "seed.safetensors");
  EXPECT_THAT(message_of([&] { run.resume(folder / "seed.safetensors"); }), HasSubstr("sqs.seed = 10, this run has 9"));
  EXPECT_EQ(all_numbers(run), before);
  EXPECT_EQ(run.steps(), 0);
}

TEST(pretrain, an_unwritable_folder_is_one_clear_error) {
  const scratch_folder folder;
  pipeline::pretrain<policy> run(cpu{.threads = 1}, 9);
  EXPECT_THAT(message_of([&] { run.save(folder / "missing" / "c.safetensors"); }), HasSubstr("missing/c.safetensors"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(pretrain, a_nan_stops_before_it_reaches_the_parameters) {
  pipeline::pretrain<policy> run(cpu{.threads = 1}, 9);
  auto s = made_up_sample<float>(3);
  s.rgb.data()[100] = std::nanf("");
  const auto before = all_numbers(run);
  EXPECT_THAT(message_of([&] { run.step(s); }), HasSubstr("sqs::pretrain: the loss is nan at step 0"));
  EXPECT_EQ(all_numbers(run), before);
}

TEST(checkpoint, report_names_what_did_not_match) {
  safetensors_file file;
  auto m = model::sqs<policy>::make(1);
  store_model(file, m, "model.");
  auto moved = file.tensors.extract("model.anchors");
  moved.key() = "model.anchor";
  file.tensors.insert(std::move(moved));
  file.tensors["model.background"].shape = {1, 6};
  const auto r = load_model(m, file, "model.");
  EXPECT_EQ(r.missing, std::vector<std::string>{"anchors (nearest in the file: anchor)"});
  EXPECT_EQ(r.unexpected, std::vector<std::string>{"anchor"});
  ASSERT_EQ(r.wrong_shape.size(), 1u);
  EXPECT_THAT(r.wrong_shape[0], HasSubstr("background is F32 [2,3] in the model and F32 [1,6] in the file"));
  EXPECT_THAT(message_of([&] { expect_complete(r, "x.safetensors"); }),
              HasSubstr("1 missing, 1 unexpected, 1 of another shape"));
}

// Two street-like samples whose pictures are constant in y and rise with x: a mirrored one falls.
struct ramps {
  idx size() const { return 2; }
  sqs::sample sample(idx i) const {
    sqs::sample s;
    s.token = concat("ramp ", i);
    camera_view v{.name = "CAM",
                  .picture = image(32, 48),
                  .camera = {30, 30, 24, 16, 48, 32},
                  .T_cam_ref = {{{1, 0, 0, 0, 0, -1, 0, 1, 0}}, {}}};
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 48; ++x) { std::fill_n(v.picture.at(y, x), 3, static_cast<std::uint8_t>(3 * x + 50 * i)); }
    }
    s.views.push_back(v);
    s.lidar.points = {{0.f, 8.f, 0.f}};
    return s;
  }
};

TEST(sample_source, flips_by_a_coin_of_the_step_and_repeats_when_resumed) {
  const ramps set;
  const auto sequence = [&](std::int64_t first, std::size_t keep) {
    pipeline::sample_source<ramps, float> source(
        set, {.seed = 3, .first_step = first, .plan = fitting_plan(32, 48, 32, 48), .flip = true, .keep_bytes = keep});
    std::vector<float> seen;
    for (std::int64_t step = first; step < 24; ++step) {
      const auto& s = source.next();
      EXPECT_EQ(s.rgb(0, 3, 2, 0) > s.rgb(0, 3, 40, 0), s.rig[0].camera.fx < 0); // picture and camera mirror together
      seen.push_back(s.rgb(0, 3, 2, 0));
    }
    return seen;
  };
  const auto all = sequence(0, std::size_t{1} << 30), uncached = sequence(0, 0),
             rest = sequence(9, std::size_t{1} << 30);
  EXPECT_EQ(all, uncached);
  EXPECT_EQ(std::vector<float>(all.begin() + 9, all.end()), rest);
  EXPECT_EQ(std::set<float>(all.begin(), all.end()).size(), 4u); // two samples, both sides
}

TEST(turn_reference, moves_cameras_as_the_points_move) {
  const auto s = made_up_sample<double>(3);
  pipeline::prepared_sample<double> t;
  pipeline::turn_reference(s, 0.7, t);
  const vec3<double> x{0.3, 5, 0.2}, turned = yaw_rotation(0.7) * x;
  for (int v = 0; v < 2; ++v) {
    const auto a = s.rig[v].T_cam_ref * x, b = t.rig[v].T_cam_ref * turned;
    EXPECT_NEAR(length(a - b), 0, 1e-12);
    const auto* m = &t.views.matrices(v, 0, 0);
    const double depth = m[8] * turned.x + m[9] * turned.y + m[10] * turned.z + m[11];
    EXPECT_NEAR(depth, a.z, 1e-12);
  }
}

} // namespace pretrain_test
