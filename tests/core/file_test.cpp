// SPDX-License-Identifier: Apache-2.0
#include "../support/scratch.hpp"

#include <sqs/core/file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

namespace file_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
namespace fs = std::filesystem;

struct scratch : sqs::test::scratch_folder {
  const fs::path& root = path();
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(root), fs::directory_iterator{}));
  }
};

std::string content(const fs::path& p) { return sqs::text_of(sqs::read_file(p)); }

/// Counts every call; the one numbered `at` of kind `kind` fails with `code`, or, for code 0, writes half.
struct faults {
  std::string kind;
  int at = 0, code = 0, seen = 0;
  bool fired = false;

  bool hit(const std::string& name) {
    if (name != kind || seen++ != at) { return false; }
    fired = true;
    errno = code;
    return true;
  }
  sqs::file_calls calls() {
    sqs::file_calls real, c;
    c.open = [this, real](const char* p, int f, mode_t m) { return hit("open") ? -1 : real.open(p, f, m); };
    c.write = [this, real](int d, const void* b, std::size_t n) -> ssize_t {
      n = std::min<std::size_t>(n, 1000); // several calls for one save
      if (hit("write")) { return code == 0 ? real.write(d, b, n / 2) : -1; }
      return real.write(d, b, n);
    };
    c.fsync = [this, real](int d) { return hit("fsync") ? -1 : real.fsync(d); };
    c.close = [this, real](int d) {
      const bool fail = hit("close");
      const int code_now = code;
      const int r = real.close(d);
      if (fail) { errno = code_now; }
      return fail ? -1 : r;
    };
    c.rename = [this, real](const char* a, const char* b) { return hit("rename") ? -1 : real.rename(a, b); };
    return c;
  }
};

TEST(file, writes_and_reads_back) {
  const scratch s;
  const std::string a = "hello ", b = "world";
  const std::span<const std::byte> pieces[] = {sqs::bytes_of(a), {}, sqs::bytes_of(b)};
  sqs::write_file_atomic(s.root / "f", pieces);
  EXPECT_EQ(content(s.root / "f"), "hello world");
  sqs::write_file_atomic(s.root / "f", std::span<const std::byte>{});
  EXPECT_EQ(content(s.root / "f"), "");
  EXPECT_EQ(s.files(), 1u);
}

TEST(file, every_call_times_every_error_leaves_the_old_file_or_succeeds_with_the_new_one) {
  const scratch s;
  const fs::path p = s.root / "model.bin";
  const std::string old_text(3000, 'o'), new_text(5000, 'n');
  int injected = 0, raised = 0;
  for (const std::string kind : {"open", "write", "fsync", "close", "rename"}) {
    for (const int code : {ENOSPC, EIO, EDQUOT, EACCES, EROFS, EINTR, 0}) {
      if (code == 0 && kind != "write") { continue; }
      for (int at = 0;; ++at) {
        sqs::write_file_atomic(p, sqs::bytes_of(old_text));
        faults f{.kind = kind, .at = at, .code = code};
        std::string message;
        try {
          sqs::write_file_atomic(p, sqs::bytes_of(new_text), f.calls());
        } catch (const sqs::file_error& e) { message = e.what(); }
        if (!f.fired) { break; } // this kind of call happens `at` times
        ++injected;
        const std::string now = content(p);
        EXPECT_EQ(s.files(), 1u) << kind << " " << code << " " << at << ": a temporary file is left";
        const bool folder_sync = kind == "fsync" && at == 1;
        if (message.empty() || folder_sync) {
          EXPECT_EQ(now, new_text) << kind << " " << code << " " << at;
        } else {
          EXPECT_EQ(now, old_text) << kind << " " << code << " " << at;
          ++raised;
        }
        if (!message.empty()) {
          EXPECT_THAT(message, HasSubstr("model.bin"));
          EXPECT_THAT(message, HasSubstr(sqs::concat("(errno ", code, ")")));
        }
        // Interrupted calls and short writes are continued, not reported; the folder's descriptor may fail to close.
        const bool harmless = (code == EINTR && (kind == "open" || kind == "write" || kind == "close")) || code == 0 ||
                              (kind == "close" && at == 1);
        EXPECT_EQ(message.empty(), harmless) << kind << " " << code << " " << at << " " << message;
      }
    }
  }
  EXPECT_GE(injected, 2 * 6 + 5 * 7 + 2 * 6 + 2 * 6 + 6);
  EXPECT_GT(raised, 40);
}

TEST(file, the_message_of_a_full_disk_says_how_far_it_came) {
  const scratch s;
  faults f{.kind = "write", .at = 2, .code = ENOSPC};
  const std::string text(5000, 'n');
  EXPECT_THAT([&] { sqs::write_file_atomic(s.root / "m", sqs::bytes_of(text), f.calls()); },
              ThrowsMessage<sqs::file_error>(::testing::AllOf(
                  HasSubstr("sqs::write_file_atomic: cannot save " + (s.root / "m").string() + ": to write "),
                  HasSubstr("No space left on device (errno 28) after 2000 of 5000 bytes"),
                  HasSubstr("the previous file is untouched"))));
}

TEST(file, a_missing_folder_is_named) {
  const scratch s;
  EXPECT_THAT([&] { sqs::write_file_atomic(s.root / "no" / "m", sqs::bytes_of(std::string("x"))); },
              ThrowsMessage<sqs::file_error>(
                  HasSubstr("the folder " + (s.root / "no").string() + " does not exist; make it first")));
}

TEST(file, a_name_taken_by_another_save_is_not_touched) {
  const scratch s;
  const fs::path taken = s.root / sqs::concat("m.tmp.", ::getpid(), ".0");
  std::ofstream(taken) << "other";
  sqs::write_file_atomic(s.root / "m", sqs::bytes_of(std::string("new")));
  EXPECT_EQ(content(s.root / "m"), "new");
  EXPECT_EQ(content(taken), "other");
}

TEST(file, stale_temporaries_of_dead_processes_are_removed_and_reported) {
  const scratch s;
  std::ofstream(s.root / "m.tmp.999999999.0") << "x"; // above every pid_max
  std::ofstream(s.root / sqs::concat("m.tmp.", ::getpid(), ".0")) << "x";
  std::ofstream(s.root / "m.tmp.notes") << "x";
  std::ofstream(s.root / "m") << "x";
  const auto removed = sqs::remove_stale_temporaries(s.root);
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].filename(), "m.tmp.999999999.0");
  EXPECT_EQ(s.files(), 3u);
}

TEST(file, reading_names_path_and_reason) {
  const scratch s;
  const std::string missing = (s.root / "none.bin").string();
  EXPECT_THAT(
      [&] { sqs::read_file(missing); },
      ThrowsMessage<sqs::file_error>("sqs::read_file: cannot open " + missing +
                                     ": No such file or directory (errno 2); check the path and its permissions"));
  EXPECT_THAT([&] { sqs::read_file(s.root); }, ThrowsMessage<sqs::file_error>(HasSubstr("is not a regular file")));
  std::ofstream(s.root / "big") << "0123456789";
  EXPECT_THAT(
      [&] { sqs::read_file(s.root / "big", {.file_bytes = 9}); },
      ThrowsMessage<sqs::file_error>(HasSubstr("has 10 bytes, above the limit of 9; raise limits::file_bytes")));
}

TEST(file, reading_continues_after_short_and_interrupted_reads_and_reports_the_rest) {
  const scratch s;
  std::ofstream(s.root / "f") << "0123456789";
  const sqs::file_calls real;
  sqs::file_calls c;
  int n = 0;
  c.read = [&](int d, void* b, std::size_t size) -> ssize_t {
    if (n++ % 2 == 0) {
      errno = EINTR;
      return -1;
    }
    return real.read(d, b, std::min<std::size_t>(size, 3));
  };
  EXPECT_EQ(sqs::text_of(sqs::read_file(s.root / "f", {}, c)), "0123456789");
  c.read = [](int, void*, std::size_t) -> ssize_t {
    errno = EIO;
    return -1;
  };
  EXPECT_THAT(
      [&] { sqs::read_file(s.root / "f", {}, c); },
      ThrowsMessage<sqs::file_error>(HasSubstr("cannot read " + (s.root / "f").string() + ": Input/output error")));
  c.read = [&](int d, void* b, std::size_t size) {
    return n++ < 100 ? (n = 100, real.read(d, b, std::min<std::size_t>(size, 4))) : 0;
  };
  n = 0;
  EXPECT_THAT([&] { sqs::read_file(s.root / "f", {}, c); },
              ThrowsMessage<sqs::file_error>(HasSubstr("ended after 4 of 10 bytes; it changed while it was read")));
}

TEST(file, paths_from_tables_stay_under_the_root) {
  const scratch s;
  fs::create_directories(s.root / "set/samples");
  fs::create_directories(s.root / "set2");
  std::ofstream(s.root / "set/samples/a.bin") << "a";
  std::ofstream(s.root / "set2/secret") << "x";
  fs::create_directories(s.root / "disk/samples/front");
  std::ofstream(s.root / "disk/samples/front/b.bin") << "b";
  fs::create_symlink(s.root / "disk/samples", s.root / "set/elsewhere"); // the owner's: to another disk
  fs::create_symlink("front", s.root / "disk/samples/again");            // stays in its folder
  fs::create_symlink(s.root / "set2", s.root / "disk/samples/out");      // leaves it
  fs::create_symlink(s.root / "set/samples", s.root / "disk/samples/back");
  fs::create_symlink(s.root / "set2", s.root / "set/samples/deeper");
  fs::create_symlink(s.root / "unmounted", s.root / "set/dangling");
  fs::create_symlink("loop", s.root / "set/loop");
  fs::create_symlink(s.root / "set/samples", s.root / "set/inside");
  const fs::path root = s.root / "set";
  EXPECT_EQ(sqs::contained_path(root, "samples/a.bin", "t"), fs::canonical(root / "samples/a.bin"));
  EXPECT_EQ(sqs::contained_path(root, "inside/a.bin", "t"), fs::canonical(root / "samples/a.bin"));
  EXPECT_EQ(sqs::contained_path(root, "samples/missing.bin", "t"), fs::canonical(root) / "samples/missing.bin");
  const auto b = fs::canonical(s.root / "disk/samples/front/b.bin");
  EXPECT_EQ(sqs::contained_path(root, "elsewhere/front/b.bin", "t"), b);
  EXPECT_EQ(sqs::contained_path(root, "./elsewhere//again/b.bin", "t"), b);
  EXPECT_EQ(sqs::contained_path(root, "elsewhere/back/a.bin", "t"), fs::canonical(root / "samples/a.bin"));
  EXPECT_EQ(sqs::contained_path(root, "dangling/c.bin", "t"), fs::canonical(root) / "dangling/c.bin"); // not there
  const auto rejects = [&](const std::string& name, const std::string& why) {
    EXPECT_THAT([&] { sqs::contained_path(root, name, "sample_data 'abc'"); },
                ThrowsMessage<sqs::file_error>(
                    ::testing::AllOf(HasSubstr("sqs::contained_path: sample_data 'abc' names the file '"),
                                     HasSubstr(why), HasSubstr("must be relative and stay under " + root.string()))));
  };
  rejects("", "is empty");
  rejects("/etc/passwd", "is absolute");
  rejects("../set2/secret", "contains '..'");
  rejects("samples/../../set2/secret", "contains '..'");
  rejects("elsewhere/../../set2/secret", "contains '..'");
  rejects("samples/deeper/secret", "leads outside through a symbolic link below 'samples' (only links at the top are");
  rejects("elsewhere/out/secret", "leads outside through a symbolic link below 'elsewhere'");
  rejects("loop/a", "cannot be resolved (Too many levels of symbolic links)");
  rejects(std::string("samples/a\0.bin", 14), "contains a NUL byte");
  rejects(std::string(65536, 'a'), "is longer than 4096 bytes");
}

} // namespace file_test
