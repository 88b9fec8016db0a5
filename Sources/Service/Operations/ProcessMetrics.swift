import Glibc

/// What the kernel says of this process, under the names that Prometheus' clients share.
enum ProcessMetrics {
  static func write(to text: inout PrometheusText) {
    var used = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used)
    text.metric("process_cpu_seconds_total", .counter, "Processor time in user and system mode.")
    text.sample(Double(used.tv_sec) + Double(used.tv_nsec) * 1e-9)
    let pageBytes = Double(sysconf(Int32(_SC_PAGESIZE)))
    let pages = words(of: "/proc/self/statm").prefix(2).map { (Double($0) ?? 0) * pageBytes }
    text.gauge("process_virtual_memory_bytes", "Address space in use.", pages.first ?? 0)
    text.gauge("process_resident_memory_bytes", "Memory in RAM.", pages.last ?? 0)
    text.gauge("process_open_fds", "Open file descriptors.", Double(openDescriptors))
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    text.gauge("process_max_fds", "Descriptors that may be open at once.", Double(limit.rlim_cur))
    text.gauge("process_start_time_seconds", "When the process started, since 1970.", startSeconds)
  }

  private static var openDescriptors: Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != UInt8(ascii: ".") { count += 1 }
    }
    // One is that of the directory itself.
    return count - 1
  }

  /// proc(5): field 22 of `stat` is the start in clock ticks after the boot, and `btime` is that of the boot.
  private static let startSeconds: Double = {
    // The name, in parentheses, may hold anything.
    let fields = read("/proc/self/stat").split(separator: ")").last?.split(separator: " ") ?? []
    let ticks = fields.count > 19 ? Double(fields[19]) ?? 0 : 0
    let boot = words(of: "/proc/stat").drop { $0 != "btime" }.dropFirst().first.flatMap { Double($0) } ?? 0
    return boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }()

  private static func words(of path: String) -> [Substring] { read(path).split { $0 == " " || $0 == "\n" } }

  private static func read(_ path: String) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = fread(&piece, 1, piece.count, file)
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
