// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where tests write. Tests run beside each other, one process each, so a fixed name would be shared.

#include <stdlib.h> // mkdtemp

#include <filesystem>
#include <stdexcept>
#include <string>

namespace sqs::test {

/// A new empty folder whose name no other process and no other object has; removed with all it holds at the end.
class scratch_folder {
public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sqs_test_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) { throw std::runtime_error("cannot make the folder " + name); }
    path_ = name;
  }
  ~scratch_folder() {
    std::error_code left_behind;
    std::filesystem::remove_all(path_, left_behind);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

private:
  std::filesystem::path path_;
};

} // namespace sqs::test
