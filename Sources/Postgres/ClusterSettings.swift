import Glibc

/// The settings that a private cluster begins with, where those of PostgreSQL are for another use.
///
/// Identities are hashes, so new rows go to all pages of their index. After each checkpoint the first change of a page
/// writes the whole page to the log: with few checkpoints and the index in memory, millions of stored results cost a
/// fraction of what they would.
struct ClusterSettings {
  /// The memory of the machine, or of the container if that has less.
  let memoryBytes: Int

  /// PostgreSQL's own value, and what one service among others on a machine may take at most.
  private static let sharedMegabytes = 128...1024

  var text: String {
    let megabytes = memoryBytes / 8 / 1_048_576
    let shared = min(max(megabytes, Self.sharedMegabytes.lowerBound), Self.sharedMegabytes.upperBound)
    return """
      shared_buffers = '\(shared)MB'
      max_wal_size = '4GB'
      checkpoint_timeout = '15min'

      """
  }

  /// - Parameter controlGroup: where the limit of a container stands; `max` in it is none.
  static func memoryBytes(controlGroup: String = "/sys/fs/cgroup/memory.max") -> Int {
    let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let limit = SystemCall.read(controlGroup).flatMap { Int($0.prefix { $0.isNumber }) }
    return min(physical, limit ?? physical)
  }
}
