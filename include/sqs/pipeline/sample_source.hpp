// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Prepared samples in training order: loaded ahead in the background, kept in memory when they fit.

#include <sqs/data/loader.hpp>
#include <sqs/pipeline/pretrain.hpp>

namespace sqs::pipeline {

/// Some samples of a data set, by index.
template <dataset Set> struct selected_samples {
  const Set* set;
  std::vector<idx> indices;
  idx size() const { return static_cast<idx>(indices.size()); }
  sqs::sample sample(idx i) const { return set->sample(indices.at(static_cast<std::size_t>(i))); }
};

struct source_options {
  std::uint64_t seed = 0;
  std::int64_t first_step = 0; ///< where a resumed run continues
  image_plan plan{};
  bool black = false; ///< images replaced by zeros
  bool flip = false;  ///< mirror the images of every other step, by chance
  double yaw = 0;     ///< the reference frame is turned by up to +-yaw radians, anew each step
  std::size_t keep_bytes = std::size_t{2} << 30; ///< samples stay in memory up to this size
};

/// `s` seen from a reference frame turned by `yaw` about z. Only the cameras change: images and depths are theirs.
/// `out` shares images and depths with `s` and owns its projection matrices, so repeats allocate nothing.
template <class T> void turn_reference(const prepared_sample<T>& s, double yaw, prepared_sample<T>& out) {
  if (!out.views.matrices || out.views.matrices.shape() != s.views.matrices.shape()) {
    out.views.matrices = make_tensor<T, 3>(s.views.matrices.shape());
  }
  out.images = s.images;
  out.rgb = s.rgb;
  out.depth = s.depth;
  out.views.image_size = s.views.image_size;
  out.rig = {};
  const se3<double> back = inverse(yaw_rotation(yaw));
  for (int v = 0; v < s.rig.size(); ++v) {
    const se3<double> pose = se3<double>(s.rig[v].T_cam_ref) * back;
    out.rig.add(s.rig[v].camera, se3<T>(pose));
    const auto m = static_cast<mat4<T>>(projection_matrix(pinhole_camera<double>(s.rig[v].camera), pose));
    std::copy_n(m.a, 16, &out.views.matrices(v, 0, 0));
  }
}

/// Step k trains on sample `shuffled(seed, epoch, ...)`, whatever came before: a resumed run goes on with the same ones.
///
/// Errors      What loading or preparing a sample raises, in the call of `next` that would return it.
template <dataset Set, class T> class sample_source {
public:
  sample_source(const Set& set, source_options options)
      : set_(set),
        options_(options),
        step_(options.first_step),
        kept_(static_cast<std::size_t>(set.size()) * (options.flip ? 2 : 1)) {
    loader_.emplace(set_, loader_options{.seed = options.seed, .first_step = step_}, prepare_sample{options});
  }
  /// The sample of the next step. Valid until the call after.
  const prepared_sample<T>& next() {
    const auto at = position_of({.seed = options_.seed}, step_, set_.size());
    const prepared_sample<T>& s =
        fetch(static_cast<std::size_t>(at.index) + (flipped(options_, step_) ? kept_.size() / 2 : 0));
    const double yaw = options_.yaw * random_stream::of(options_.seed, 0x59415721, step_).uniform(0, -1, 1);
    ++step_;
    if (options_.yaw == 0) { return s; }
    turn_reference(s, yaw, turned_);
    return turned_;
  }
  /// All samples are in memory; nothing loads in the background any more.
  bool settled() const { return !loader_.has_value(); }

private:
  /// A coin of the step's own: the loader's threads and `next` see the same side.
  static bool flipped(const source_options& o, idx step) {
    return o.flip && random_stream::of(o.seed, 0x464C4950, step).uniform(0) < 0.5;
  }
  struct prepare_sample {
    source_options options;
    prepared_sample<T> operator()(const sample& s, loader_position at) const {
      image_plan plan = options.plan;
      plan.flip = flipped(options, at.step);
      return prepare(make_network_input<T>(s, plan), options.black);
    }
  };
  const prepared_sample<T>& fetch(std::size_t index) {
    if (!loader_) { return *kept_[index]; }
    current_ = loader_->next();
    const std::size_t bytes =
        sizeof(T) * static_cast<std::size_t>(current_->images.size() + current_->rgb.size() + current_->depth.size());
    if (bytes * kept_.size() > options_.keep_bytes) { return *current_; }
    if (!kept_[index]) {
      kept_[index] = current_;
      if (++count_ == kept_.size()) { loader_.reset(); }
    }
    return *kept_[index];
  }

  const Set& set_;
  source_options options_;
  std::int64_t step_;
  std::vector<std::optional<prepared_sample<T>>> kept_;
  std::size_t count_ = 0;
  std::optional<prepared_sample<T>> current_;
  prepared_sample<T> turned_;
  std::optional<loader<Set, prepare_sample>> loader_;
};

} // namespace sqs::pipeline
