// SPDX-License-Identifier: Apache-2.0
// Background  A training that dies after a day because of one truncated image began with a data set nobody had checked.
// New here    check_dataset walks nuScenes or SemanticKITTI on disk; with each problem comes the command that repairs it.
// Builds on   01.
// Run         dataset_check /data/nuscenes
//             dataset_check --quick /data/nuscenes     sizes, beginnings and ends of files only
// Expect      what was found, the first ten problems, exit status 0 (good), 1 (problems) or 2 (wrong call). Without a
//             folder: this help.
#include <sqs/data/check.hpp>
#include <sqs/pipeline/progress.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace sqs;

namespace {

/// One bar per stage, on the error stream: what was found stays alone on the other.
class stage_bars {
public:
  explicit stage_bars(bool quiet) : out_(quiet ? nullptr : stderr) {}
  void operator()(const std::string& stage, idx done, idx total) {
    if (stage != stage_) {
      stage_ = stage;
      bar_.emplace(out_, ::isatty(2) != 0, stage, 0, total);
    }
    bar_->update(done, "");
  }

private:
  std::FILE* out_;
  std::string stage_;
  std::optional<pipeline::progress_bar> bar_;
};

int run(const std::string& folder, bool quick, bool quiet, int most, int threads) {
  stage_bars bars(quiet);
  const auto report = check_dataset(
      folder, {.most = static_cast<std::size_t>(most),
               .decode = !quick,
               .threads = threads,
               .progress = [&](const std::string& stage, idx done, idx total) { bars(stage, done, total); }});
  std::printf("%s: %s\n", folder.c_str(), report.layout.c_str());
  for (const auto& [name, count] : report.counts) {
    std::printf("  %-28s %lld\n", name.c_str(), static_cast<long long>(count));
  }
  for (std::size_t i = 0; i < report.problems.size(); ++i) {
    std::printf("%zu. %s\n   repair: %s\n", i + 1, report.problems[i].what.c_str(), report.problems[i].repair.c_str());
  }
  if (report.good()) {
    std::printf("no problems\n");
  } else if (report.problem_count > report.problems.size()) {
    std::printf("%zu problems, the first %zu are shown\n", report.problem_count, report.problems.size());
  } else {
    std::printf("%zu problem%s\n", report.problem_count, report.problem_count == 1 ? "" : "s");
  }
  return report.good() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  std::string folder;
  bool quick = false, quiet = false;
  int most = 10, threads = 0;
  CLI::App app{"Checks a data set in the layout of nuScenes or SemanticKITTI and says how to repair it.\n"
               "Example: dataset_check /data/nuscenes"};
  app.option_defaults()->always_capture_default();
  app.add_option("PATH", folder, "the folder that holds v1.0-mini (or -trainval), or sequences/");
  app.add_flag("--quick", quick, "only sizes, beginnings and ends of files");
  app.add_flag("--quiet", quiet, "no progress bar");
  app.add_option("--most", most, "problems that are shown")->check(CLI::Range(1, 1'000'000));
  app.add_option("--threads", threads, "0: all cores")->check(CLI::Range(0, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) { return app.exit(e) == 0 ? 0 : 2; }
  if (folder.empty()) {
    std::printf("%s", app.help().c_str());
    return 0;
  }
  try {
    return run(folder, quick, quiet, most, threads);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "dataset_check: %s\n", e.what());
    return 1;
  }
}
