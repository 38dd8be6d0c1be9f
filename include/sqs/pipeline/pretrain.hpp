// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// SQS pre-training: sensor -> backbone -> query -> gaussian -> splat -> loss -> update, one sample a step.

#include <sqs/autodiff/checkpoint.hpp>
#include <sqs/loss/depth.hpp>
#include <sqs/loss/photometric.hpp>
#include <sqs/loss/sum.hpp>
#include <sqs/metric/rendering.hpp>
#include <sqs/optim/adamw.hpp>
#include <sqs/optim/schedule.hpp>
#include <sqs/pipeline/policy.hpp>
#include <sqs/sensor/network_input.hpp>

namespace sqs::pipeline {

/// One sample as the model and the losses read it.
template <class T> struct prepared_sample {
  tensor<T, 4> images; ///< [V, H, W, 3], normalised
  tensor<T, 4> rgb;    ///< [V, H, W, 3], 0 .. 1
  tensor<T, 3> depth;  ///< [V, H, W], metres, 0 = no return
  query::view_projections<T> views;
  camera_rig<T> rig;
};

/// Groups the cameras of a network input once, so that a step allocates nothing. `black` replaces the images by zeros:
/// the control that shows what a model knows without looking.
template <class T> prepared_sample<T> prepare(const network_input<T>& in, bool black = false) {
  const idx v = in.images.extent(0);
  prepared_sample<T> s{in.images, in.rgb, in.depth, {}, {}};
  if (black) { s.images = make_tensor<T, 4>(in.images.shape()); }
  s.views.matrices = make_tensor<T, 3>({v, 4, 4});
  s.views.image_size = {static_cast<T>(in.images.extent(2)), static_cast<T>(in.images.extent(1))};
  for (idx i = 0; i < v; ++i) {
    const auto k = static_cast<std::size_t>(i);
    std::copy_n(in.lidar2img[k].a, 16, &s.views.matrices(i, 0, 0));
    s.rig.add(in.cameras[k], in.T_cam_ref[k]);
  }
  return s;
}

/// What one step did.
struct step_report {
  std::int64_t step = 0;
  double loss = 0, rgb = 0, depth = 0;
  double gradient_norm = 0, rate = 0;
};

/// Rendered images of one sample and how good they are.
template <class T> struct rendering {
  tensor<T, 4> image;
  tensor<T, 3> depth, transmittance;
  metric::rendering_score score;
};

/// A pre-training run: the model, the optimiser and the step counter; everything a checkpoint holds.
///
/// Execution   Deterministic: the state after n steps is a function of (policy, settings, seed, samples), bit for bit, for
///             any thread count and across `save` and `resume`.
/// Errors      nonfinite_error when a loss or gradient stops being finite; the parameters are then those of before the
///             step.
template <class Policy, executor Exec = cpu> class pretrain {
public:
  using T = typename Policy::scalar;
  using model_type = model::sqs<Policy>;

  /// `task` says what is trained on (data, selection, augmentation): a checkpoint of another task is refused.
  pretrain(Exec exec, std::uint64_t seed, training_settings settings = Policy::training, std::string task = "")
      : exec_(std::move(exec)),
        seed_(seed),
        settings_(settings),
        task_(std::move(task)),
        model_(model_type::make(seed)),
        optimiser_(model_, {.weight_decay = settings.weight_decay}, [settings](const std::string& name) {
          return optim::group{.rate = name == "anchors"               ? settings.anchor_rate
                                      : name.starts_with("backbone.") ? settings.backbone_rate
                                                                      : 1.0};
        }) {}

  /// One update on one sample.
  step_report step(const prepared_sample<T>& sample) {
    step_report report{.step = steps(), .rate = schedule()(steps())};
    optimiser_.zero_gradients();
    {
      training_graph<Exec> g{exec_};
      const auto out = model_(g, g.input(sample.images), sample.views, sample.rig, random_stream::of(seed_, steps()));
      g.stage("loss");
      auto rgb = sqs::apply(g, loss::photometric_l1{}, out.image, sample.rgb);
      auto depth = sqs::apply(g, loss::depth_l1{}, out.depth, sample.depth);
      report.rgb = static_cast<double>(*rgb.value().data());
      report.depth = static_cast<double>(*depth.value().data());
      auto total = sqs::apply(g, loss::weighted_sum_op<2>{{settings_.rgb_weight, settings_.depth_weight}},
                              std::move(rgb), std::move(depth));
      report.loss = static_cast<double>(*total.value().data());
      require_finite(report.loss, "loss", report);
      g.backward(total);
    }
    profile_scope scope(exec_, "optimiser", "forward");
    report.gradient_norm = optimiser_.clip(exec_, settings_.clip);
    require_finite(report.gradient_norm, "gradient norm", report);
    optimiser_.step(exec_, report.rate);
    return report;
  }

  /// Renders a sample without recording and scores it.
  rendering<T> render(const prepared_sample<T>& sample) {
    inference_graph<Exec> g{exec_};
    const auto out = model_(g, g.input(sample.images), sample.views, sample.rig);
    return {out.image.value(), out.depth.value(), out.transmittance.value(),
            metric::score_rendering(out.image.value(), sample.rgb, out.depth.value(), sample.depth)};
  }
  /// The Gaussians of a sample: means, scales, rotations, opacities, colours.
  auto gaussians(const prepared_sample<T>& sample) {
    inference_graph<Exec> g{exec_};
    const auto pyramid = model_.look(g, g.input(sample.images));
    auto queries = model_.decode_queries(g, pyramid, sample.views, {});
    return model_.to_gaussians(g, std::move(queries.anchors));
  }

  /// Writes model, optimiser and counters, atomically. The file before it is kept as `<path>.previous`.
  void save(const std::filesystem::path& path) const {
    safetensors_file file;
    store_model(file, model_, "model.");
    for (const auto& x : optimiser_.entries()) {
      file.tensors["optimiser.first." + x.name] = from_tensor(x.first);
      file.tensors["optimiser.second." + x.name] = from_tensor(x.second);
    }
    file.metadata = identity();
    file.metadata["sqs.step"] = std::to_string(steps());
    write_checkpoint(path, file);
  }
  /// Continues from a file that `save` wrote, or its predecessor if the file is damaged. Returns a note for the user.
  ///
  /// Errors      file_error if no readable file exists, or it belongs to another policy, seed or settings. The run is then
  ///             unchanged.
  std::string resume(const std::filesystem::path& path) {
    auto [file, note] = read_checkpoint(path);
    for (const auto& [key, mine] : identity()) {
      const auto found = file.metadata.find(key);
      if (found == file.metadata.end() || found->second != mine) {
        raise<file_error>("sqs::pretrain: ", path.string(), " was saved with ", key, " = ",
                          found == file.metadata.end() ? "(nothing)" : found->second, ", this run has ", mine,
                          "; give the options it was saved with, or start afresh in another folder");
      }
    }
    restore(file, path.string());
    return note;
  }

  std::int64_t steps() const { return optimiser_.steps(); }
  model_type& network() { return model_; }
  const training_settings& settings() const { return settings_; }
  Exec& exec() { return exec_; }

private:
  optim::warmup_cosine schedule() const {
    return {.peak = settings_.rate,
            .warmup = settings_.warmup,
            .total = settings_.steps,
            .final_fraction = settings_.final_fraction};
  }
  static void require_finite(double value, const char* what, const step_report& r) {
    if (!std::isfinite(value)) {
      raise<nonfinite_error>("sqs::pretrain: the ", what, " is ", value, " at step ", r.step, " (rgb ", r.rgb,
                             ", depth ", r.depth, ", rate ", r.rate,
                             "); check the sample's poses and depths, or lower the rate");
    }
  }
  /// What must agree for a checkpoint to continue this run.
  std::map<std::string, std::string> identity() const {
    const auto& s = settings_;
    std::map<std::string, std::string> out{{"sqs.format", "1"},
                                           {"sqs.policy", Policy::name},
                                           {"sqs.seed", std::to_string(seed_)},
                                           {"sqs.task", task_},
                                           {"sqs.steps", std::to_string(s.steps)},
                                           {"sqs.warmup", std::to_string(s.warmup)},
                                           {"sqs.flip", s.flip ? "1" : "0"}};
    const std::pair<const char*, double> numbers[] = {{"sqs.rate", s.rate},
                                                      {"sqs.final_fraction", s.final_fraction},
                                                      {"sqs.anchor_rate", s.anchor_rate},
                                                      {"sqs.backbone_rate", s.backbone_rate},
                                                      {"sqs.weight_decay", s.weight_decay},
                                                      {"sqs.clip", s.clip},
                                                      {"sqs.rgb_weight", s.rgb_weight},
                                                      {"sqs.depth_weight", s.depth_weight}};
    for (const auto& [key, value] : numbers) {
      std::ostringstream exact;
      exact.precision(17);
      exact << value;
      out[key] = exact.str();
    }
    return out;
  }
  static void write_checkpoint(const std::filesystem::path& path, const safetensors_file& file) {
    auto previous = path;
    previous += ".previous";
    auto next = path;
    next += ".next";
    write_safetensors(next, file); // complete and on disk before anything is renamed
    std::error_code code;
    if (std::filesystem::exists(path)) { std::filesystem::rename(path, previous, code); }
    if (!code) { std::filesystem::rename(next, path, code); }
    if (code) {
      raise<file_error>("sqs::pretrain: cannot rename ", next.string(), " to ", path.string(), ": ", code.message(),
                        "; check that the folder is writable");
    }
  }
  static std::pair<safetensors_file, std::string> read_checkpoint(const std::filesystem::path& path) {
    std::string problem;
    for (const char* suffix : {"", ".next", ".previous"}) {
      auto candidate = path;
      candidate += suffix;
      if (!std::filesystem::exists(candidate)) { continue; }
#if defined(SQS_NO_EXCEPTIONS)
      return {read_safetensors(candidate), ""};
#else
      try {
        return {read_safetensors(candidate),
                problem.empty() ? "" : "continuing from " + candidate.string() + " because " + problem};
      } catch (const file_error& e) { problem += (problem.empty() ? "" : "; ") + std::string(e.what()); }
#endif
    }
    raise<file_error>("sqs::pretrain: there is no checkpoint to resume at ", path.string(),
                      problem.empty() ? "" : " that can be read: ", problem, "; start without resuming");
  }
  void restore(const safetensors_file& file, const std::string& path) {
    // Check everything before the first parameter changes.
    model_type fresh = model_type::make(seed_);
    expect_complete(load_model(fresh, file, "model."), path);
    for (const auto& x : optimiser_.entries()) {
      for (const char* kind : {"optimiser.first.", "optimiser.second."}) {
        const auto t = to_tensor<T, 1>(file.at(kind + x.name), kind + x.name);
        if (t.size() != x.first.size()) {
          raise<file_error>("sqs::pretrain: ", path, " holds ", t.size(), " moments of ", x.name, " instead of ",
                            x.first.size(), "; use the policy it was saved with");
        }
      }
    }
    const std::int64_t step = parse_step(file, path);
    load_model(model_, file, "model.");
    for (auto& x : optimiser_.entries()) {
      std::ranges::copy(to_tensor<T, 1>(file.at("optimiser.first." + x.name), x.name), x.first.begin());
      std::ranges::copy(to_tensor<T, 1>(file.at("optimiser.second." + x.name), x.name), x.second.begin());
    }
    optimiser_.set_steps(step);
  }
  static std::int64_t parse_step(const safetensors_file& file, const std::string& path) {
    const auto found = file.metadata.find("sqs.step");
    std::int64_t step = -1;
    if (found != file.metadata.end() && !found->second.empty() && found->second.size() < 18 &&
        found->second.find_first_not_of("0123456789") == std::string::npos) {
      step = std::stoll(found->second);
    }
    if (step < 0) {
      raise<file_error>("sqs::pretrain: ", path, " has no step number; use a file saved by this program");
    }
    return step;
  }

  Exec exec_;
  std::uint64_t seed_;
  training_settings settings_;
  std::string task_;
  model_type model_;
  optim::adamw<T> optimiser_;
};

} // namespace sqs::pipeline
