// SPDX-License-Identifier: Apache-2.0
// The training program: one visible dispatch from options to types, then plain steps.
#include "train.hpp"

#include "options.hpp"
#include "readable_samples.hpp"

#include <sqs/data/nuscenes.hpp>
#include <sqs/data/procedural.hpp>
#include <sqs/gaussian/ply.hpp>
#include <sqs/pipeline/metrics_log.hpp>
#include <sqs/pipeline/pictures.hpp>
#include <sqs/pipeline/progress.hpp>
#include <sqs/pipeline/report.hpp>
#include <sqs/pipeline/sample_source.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <numeric>
#include <optional>

namespace {

using namespace sqs;
namespace fs = std::filesystem;

template <class Policy> pipeline::training_settings settings_of(const options& o) {
  auto s = Policy::training;
  if (o.steps > 0) { s.steps = o.steps; }
  s.warmup = std::min<std::int64_t>(s.warmup, std::max<std::int64_t>(1, s.steps / 4));
  if (o.rgb_weight >= 0) { s.rgb_weight = o.rgb_weight; }
  if (o.depth_weight >= 0) { s.depth_weight = o.depth_weight; }
  if (o.anchor_rate >= 0) { s.anchor_rate = o.anchor_rate; }
  return s;
}

// What a checkpoint belongs to, besides the settings: the data and how it is shown.
std::string task_of(const options& o, idx samples, image_plan plan, bool black) {
  return concat(o.data, ", ", samples, " samples, ", plan.height, " x ", plan.width, ", yaw ", o.yaw_degrees,
                black ? ", black images" : "");
}

template <class T, dataset Set> pipeline::prepared_sample<T> load(const Set& set, image_plan plan, idx i, bool black) {
  return pipeline::prepare(make_network_input<T>(set.sample(i), plan), black);
}

// The output folder belongs to one run at a time: the lock is held until the program ends.
class folder_lock {
public:
  explicit folder_lock(const fs::path& folder)
      : file_(::open((folder / ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    if (file_ < 0) { raise<file_error>("cannot write into ", folder.string(), "; check --out"); }
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      raise<file_error>("another run is writing into ", folder.string(), "; wait for it, or give another --out");
    }
  }
  ~folder_lock() { ::close(file_); }
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

private:
  int file_;
};

// Makes room for a run that starts afresh: nothing of an earlier one may stand beside its results.
void remove_results(const fs::path& out) {
  for (const char* name : {"checkpoint.safetensors", "control.safetensors"}) {
    for (const char* suffix : {"", ".previous", ".next"}) { fs::remove(out / (std::string(name) + suffix)); }
  }
  for (const char* name :
       {"report.json", "index.html", "metrics.jsonl", "control.metrics.jsonl", "trace.json", "gaussians.ply"}) {
    fs::remove(out / name);
  }
}

// One training run (the model, or the control that sees only black) with its checkpoint and log.
template <class Policy, dataset Set> class trainer {
public:
  using T = typename Policy::scalar;

  trainer(const options& o, const Set& set, image_plan plan, bool black, std::string name)
      : options_(o),
        set_(set),
        plan_(plan),
        black_(black),
        name_(std::move(name)),
        run_(cpu{.threads = o.threads}, o.seed, settings_of<Policy>(o), task_of(o, set.size(), plan, black)) {}

  fs::path checkpoint() const { return fs::path(options_.out) / (name_ + ".safetensors"); }
  fs::path log_file() const {
    return fs::path(options_.out) / (black_ && name_ == "control" ? "control.metrics.jsonl" : "metrics.jsonl");
  }

  // Reads the checkpoint if one is wanted. Changes no file.
  void resume() {
    if (!options_.resume) { return; }
    if (!fs::exists(checkpoint()) && !fs::exists(checkpoint().string() + ".previous")) {
      std::fprintf(stderr, "pretrain_sqs: %s was not saved yet; starting at step 0\n", checkpoint().c_str());
      return;
    }
    const std::string note = run_.resume(checkpoint());
    if (!note.empty()) { std::fprintf(stderr, "pretrain_sqs: %s\n", note.c_str()); }
  }
  void train() {
    pipeline::metrics_log log(log_file(), run_.steps());
    curve = log.curve();
    const std::int64_t total = run_.settings().steps, first = run_.steps();
    pipeline::sample_source<Set, T> source(set_, {.seed = options_.seed,
                                                  .first_step = first,
                                                  .plan = plan_,
                                                  .black = black_,
                                                  .flip = run_.settings().flip,
                                                  .yaw = options_.yaw_degrees / 57.29577951308232});
    const bool terminal = isatty(2) != 0;
    pipeline::progress_bar bar(options_.quiet ? nullptr : stderr, terminal,
                               black_ ? "control (black images)" : "training", first, total);
    const auto start = std::chrono::steady_clock::now();
    run_.exec().profile().record_events(400);
    long long counted_from = -1;
    std::int64_t counted_steps = 0;
    while (run_.steps() < total) {
      const auto& sample = source.next();
      // After warm-up (a few steps size the pool): profile. Allocations are counted while no loader thread runs beside.
      const bool warm = run_.steps() >= first + 5, alone = warm && source.settled();
      run_.exec().profile().enabled = warm;
      const long long before = allocations_so_far();
      const auto report = run_.step(sample);
      if (alone && before >= 0) {
        counted_from = std::max(counted_from, 0LL) + (allocations_so_far() - before);
        ++counted_steps;
      }
      profiled += warm ? 1 : 0;
      log.add(report);
      curve.push_back({report.step, report.loss, report.rgb, report.depth});
      bar.update(run_.steps(), concat("loss ", report.loss));
      if (run_.steps() % options_.save_every == 0 || run_.steps() == total) { run_.save(checkpoint()); }
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    steps_done = total - first;
    allocations =
        counted_steps > 0 ? static_cast<double>(counted_from) / static_cast<double>(counted_steps) : std::nan("");
    peak = run_.exec().memory().statistics().peak;
    run_.exec().profile().enabled = false;
    if (name_ == "checkpoint") {
      write_file_atomic(fs::path(options_.out) / "trace.json", bytes_of(run_.exec().profile().chrome_trace()));
    }
  }
  // The mean over a set, one sample in memory at a time.
  metric::rendering_score score(const Set& set, idx most) {
    metric::rendering_score sum;
    for (idx i = 0; i < std::min(most, set.size()); ++i) { sum.add(score(load<T>(set, plan_, i, black_))); }
    return sum;
  }
  pipeline::pretrain<Policy>& pipeline_run() { return run_; }

  std::vector<pipeline::curve_point> curve;
  double seconds = 0, allocations = 0;
  std::int64_t steps_done = 0, profiled = 0;
  std::size_t peak = 0;

private:
  metric::rendering_score score(const pipeline::prepared_sample<T>& s) {
    if (options_.yaw_degrees == 0) { return run_.render(s).score; }
    // Trained on turned frames: scored on seven fixed ones, evenly spread.
    pipeline::prepared_sample<T> turned;
    metric::rendering_score mean;
    for (int k = 0; k < 7; ++k) {
      pipeline::turn_reference(s, options_.yaw_degrees / 57.29577951308232 * (2 * k - 6) / 7, turned);
      mean.add(run_.render(turned).score);
    }
    mean.samples = 1;
    mean.with_depth = std::min<idx>(1, mean.with_depth);
    return mean;
  }

  const options& options_;
  const Set& set_;
  image_plan plan_;
  bool black_;
  std::string name_;
  pipeline::pretrain<Policy> run_;
};

template <class Policy> void write_pictures(const fs::path& out, pipeline::pretrain<Policy>& run,
                                            const pipeline::prepared_sample<typename Policy::scalar>& s,
                                            const std::string& prefix, const std::string& title,
                                            pipeline::run_report& page) {
  const auto r = run.render(s);
  for (idx v = 0; v < s.rgb.extent(0); ++v) {
    const auto view = static_cast<std::size_t>(v);
    const std::string name = view < camera_names.size() ? camera_names[view] : concat("view ", v);
    pipeline::picture_row row{title + ", " + name, {}};
    const auto add = [&](const char* caption, const char* kind, const image& picture) {
      const std::string file = concat(prefix, v, "_", kind, ".png");
      write_png(out / file, picture);
      row.pictures.emplace_back(caption, file);
    };
    add("input image", "input", pipeline::colour_picture(s.rgb, v));
    add("rendered image", "rendered", pipeline::colour_picture(r.image, v));
    add("LiDAR depth", "lidar", pipeline::depth_picture(s.depth, v, 1));
    add("rendered depth", "depth", pipeline::depth_picture(r.depth, v));
    page.rows.push_back(std::move(row));
  }
}

template <class Policy> void write_gaussians(const fs::path& out, pipeline::pretrain<Policy>& run,
                                             const pipeline::prepared_sample<typename Policy::scalar>& s,
                                             pipeline::run_report& page) {
  const auto g = run.gaussians(s);
  write_png(out / "bird_eye.png",
            pipeline::bird_eye_picture(g.means.value(), g.scales.value(), g.opacities.value(), g.colours.value()));
  page.bird_eye = "bird_eye.png";
  page.gaussians = g.means.extent(0);
  gaussian_cloud cloud;
  const auto row = [](const auto& t, idx i) {
    return vec3<float>{static_cast<float>(t(i, 0)), static_cast<float>(t(i, 1)), static_cast<float>(t(i, 2))};
  };
  for (idx i = 0; i < page.gaussians; ++i) {
    const auto s3 = row(g.scales.value(), i);
    const auto& q = g.rotations.value();
    cloud.means.push_back(row(g.means.value(), i));
    cloud.log_scales.push_back({std::log(s3.x), std::log(s3.y), std::log(s3.z)});
    cloud.rotations.push_back({static_cast<float>(q(i, 0)), static_cast<float>(q(i, 1)), static_cast<float>(q(i, 2)),
                               static_cast<float>(q(i, 3))});
    cloud.opacity_logits.push_back(logit(static_cast<float>(g.opacities.value()(i))));
    const auto colour = row(g.colours.value(), i);
    for (const float c : {colour.x, colour.y, colour.z}) { cloud.sh.push_back(rgb_to_sh(c)); }
  }
  write_ply(out / "gaussians.ply", cloud, {.frame = "LiDAR at the key frame: x right, y forward, z up, metres"});
}

void print_table(const pipeline::run_report& r) {
  const auto row = [](const char* name, const metric::rendering_score& s) {
    std::printf("%-34s %8.2f %12.2f %10.2f %14.2f\n", name, s.psnr_db, s.baseline_psnr_db, s.depth_l1_m,
                s.baseline_depth_l1_m);
  };
  std::printf("\n%-34s %8s %12s %10s %14s\n", "", "PSNR dB", "constant dB", "depth m", "constant m");
  row("trained on", r.train);
  if (r.has_eval) { row("not trained on", r.eval); }
  if (r.has_control) {
    row("black-image control, trained on", r.control);
    if (r.has_eval) { row("black-image control, not trained on", r.control_eval); }
  }
}

template <class Policy, dataset Set>
int train(const options& o, const Set& set, const std::string& data, int source_height, int source_width) {
  using T = typename Policy::scalar;
  const auto plan = fitting_plan(source_height, source_width, Policy::height, Policy::width);
  const idx n = std::min<idx>(o.limit_samples, set.size());
  pipeline::selected_samples<Set> first{&set, std::vector<idx>(static_cast<std::size_t>(n))}, last{&set, {}};
  std::iota(first.indices.begin(), first.indices.end(), idx{0});
  // Held-out samples from the far end: the frames least like those trained on.
  for (idx i = set.size() - 1; i >= n && last.size() < o.eval_samples; --i) { last.indices.push_back(i); }
  // Each stands in for its own only: nothing that was held out is trained on.
  const auto corrupt = o.corrupt == "replace" ? corrupt_policy::replace : corrupt_policy::stop;
  const readable_samples training(first, corrupt), held_out(last, corrupt);

  const fs::path out = o.out;
  if (o.resume && !fs::exists(out / "config.toml")) {
    raise<precondition_error>("--resume, but no run was ever started in ", out.string(),
                              "; check --out, or start without --resume");
  }
  using run_type = trainer<Policy, readable_samples<pipeline::selected_samples<Set>>>;
  run_type main_run(o, training, plan, o.black, "checkpoint");
  std::optional<run_type> control;
  if (!o.no_control && !o.black) { control.emplace(o, training, plan, true, "control"); }
  const idx parameters = parameter_count(main_run.pipeline_run().network());
  if (o.dry_run) {
    std::printf("%s\nsamples to train on = %lld, to evaluate = %lld\ntrained numbers = %lld (%.1f MiB with gradients "
                "and moments)\n",
                o.resolved.c_str(), static_cast<long long>(n), static_cast<long long>(held_out.size()),
                static_cast<long long>(parameters), 4.0 * sizeof(T) * static_cast<double>(parameters) / 1048576);
    return 0;
  }
  // Everything that can be wrong with data and checkpoints shows before the first file of an earlier run is touched.
  const auto shown = load<T>(training, plan, 0, o.black);
  std::error_code code;
  fs::create_directories(out, code);
  if (code) { raise<file_error>("cannot make the folder ", out.string(), ": ", code.message(), "; check --out"); }
  const folder_lock lock(out);
  main_run.resume();
  if (control) { control->resume(); }
  for (const auto& left : remove_stale_temporaries(out)) {
    if (!o.quiet) { std::fprintf(stderr, "pretrain_sqs: removed %s, left by a killed save\n", left.c_str()); }
  }
  if (!o.resume) { remove_results(out); }
  write_file_atomic(out / "config.toml", bytes_of(o.resolved));
  main_run.train();

  pipeline::run_report page;
  page.title = "SQS pre-training";
  page.data = data;
  page.policy = Policy::name;
  page.seed = o.seed;
  page.threads = main_run.pipeline_run().exec().thread_count();
  page.steps = main_run.pipeline_run().steps();
  page.samples = n;
  page.eval_samples = held_out.size();
  page.seconds = main_run.seconds;
  page.step_seconds = main_run.seconds / static_cast<double>(std::max<std::int64_t>(1, main_run.steps_done));
  page.curve = main_run.curve;
  page.parameters = parameters;
  page.stages.assign(main_run.pipeline_run().exec().profile().begin(), main_run.pipeline_run().exec().profile().end());
  page.profiled_steps = main_run.profiled;
  page.peak_bytes = main_run.peak;
  page.allocations_per_step = main_run.allocations;
  constexpr idx most_scored = 50; // of those trained on; all that were held out
  page.train = main_run.score(training, most_scored);
  page.has_eval = held_out.size() > 0;
  if (page.has_eval) { page.eval = main_run.score(held_out, held_out.size()); }
  write_pictures(out, main_run.pipeline_run(), shown, "view", "Trained on", page);
  if (page.has_eval && !o.black) {
    write_pictures(out, main_run.pipeline_run(), load<T>(held_out, plan, 0, false), "eval", "Not trained on", page);
  }
  write_gaussians(out, main_run.pipeline_run(), shown, page);
  if (control) {
    control->train();
    page.has_control = true;
    page.control = control->score(training, most_scored);
    if (page.has_eval) { page.control_eval = control->score(held_out, held_out.size()); }
  }
  const auto& s = main_run.pipeline_run().settings();
  page.settings = {{"learning rate", concat(s.rate)},
                   {"anchor rate", concat("x ", s.anchor_rate)},
                   {"backbone rate", concat("x ", s.backbone_rate)},
                   {"weight decay", concat(s.weight_decay)},
                   {"clip", concat(s.clip)},
                   {"colour weight", concat(s.rgb_weight)},
                   {"depth weight", concat(s.depth_weight)},
                   {"random flip", s.flip ? "yes" : "no"},
                   {"yaw", concat(o.yaw_degrees, " degrees")},
                   {"black images", o.black ? "yes" : "no"}};
  write_file_atomic(out / "report.json", bytes_of(pipeline::report_json(page)));
  write_file_atomic(out / "index.html", bytes_of(pipeline::report_html(page)));
  print_table(page);
  std::printf("\n%.0f ms a step, peak %.0f MiB, %.3g allocations a step after warm-up\nreport: %s\n",
              1e3 * page.step_seconds, static_cast<double>(page.peak_bytes) / 1048576, page.allocations_per_step,
              fs::absolute(out / "index.html").c_str());
  return 0;
}

// Height and width of all pictures: one plan fits them to the network.
std::pair<int, int> picture_size(const nuscenes_dataset& set) {
  const auto& tables = set.tables();
  const nuscenes_tables::recording* first = nullptr;
  for (const auto& r : tables.recordings) {
    if (tables.sensor_of(r).slot == static_cast<int>(nuscenes_tables::lidar_slot)) { continue; }
    if (first == nullptr) { first = &r; }
    if (r.height != first->height || r.width != first->width) {
      raise<file_error>(tables.filename(*first), " has ", first->height, " x ", first->width, " pixels but ",
                        tables.filename(r), " ", r.height, " x ", r.width, " in ", set.root().string(),
                        "; pre-training takes pictures of one size: scale them, and their intrinsics, alike");
    }
  }
  if (first == nullptr) {
    raise<file_error>(set.root().string(), " holds no key frames; give a data set with at least one scene");
  }
  return {first->height, first->width};
}

template <class Policy> int with_policy(const options& o) {
  const auto colon = o.data.find(':');
  const std::string kind = o.data.substr(0, colon), rest = colon == std::string::npos ? "" : o.data.substr(colon + 1);
  if (kind == "nuscenes") {
    const nuscenes_dataset set{rest};
    const auto [height, width] = picture_size(set);
    return train<Policy>(o, set, "nuScenes layout: " + fs::path(rest).lexically_normal().filename().string(), height,
                         width);
  }
  if (kind == "procedural") {
    std::uint64_t seed = 1;
    expects(rest.empty() || (rest.size() < 18 && rest.find_first_not_of("0123456789") == std::string::npos),
            "--data procedural:", rest, " is not a seed; give a whole number");
    if (!rest.empty()) { seed = std::stoull(rest); }
    const procedural_dataset set(
        {.seed = seed, .scenes = o.limit_samples + o.eval_samples, .height = Policy::height, .width = Policy::width});
    return train<Policy>(o, set, concat("procedural streets, seed ", seed), Policy::height, Policy::width);
  }
  raise<precondition_error>("--data ", o.data,
                            " is of no known kind; give procedural, procedural:SEED or nuscenes:PATH");
}

} // namespace

int run(const options& o) {
  return o.policy == "base" ? with_policy<pipeline::base>(o) : with_policy<pipeline::small>(o);
}
