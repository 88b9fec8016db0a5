import Glibc

/// The listening sockets of the loops: one for each, sharing a port (`SO_REUSEPORT`), among which the kernel spreads
/// new connections.
enum ListenSocket {
  /// - Returns: `count` listening descriptors, non-blocking and closed on exec, and the address with the actual port.
  static func open(_ address: ListenAddress, count: Int) throws(ListenFault) -> ([Int32], ListenAddress) {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var found: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(address.host, String(address.port), &hints, &found)
    guard status == 0, let found else {
      throw ListenFault(address: "\(address)", reason: String(cString: gai_strerror(status)))
    }
    defer { freeaddrinfo(found) }
    // The first that works: `localhost` may stand for an address family that is switched off.
    var failure: ListenFault?
    var candidate: UnsafeMutablePointer<addrinfo>? = found
    while let info = candidate {
      do throws(ListenFault) {
        return try open(info.pointee, address, count: count)
      } catch {
        failure = failure ?? error
      }
      candidate = info.pointee.ai_next
    }
    throw failure ?? ListenFault(address: "\(address)", reason: "the name has no address")
  }

  private static func open(
    _ info: addrinfo, _ address: ListenAddress, count: Int
  ) throws(ListenFault) -> ([Int32], ListenAddress) {
    var storage = sockaddr_storage()
    var length = info.ai_addrlen
    let bytes = UnsafeRawBufferPointer(start: info.ai_addr, count: Int(length))
    withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: bytes) }
    func fault() -> ListenFault { ListenFault(address: "\(address)", reason: reason(errno)) }
    // Sockets that share a port bind beside another process's without a word: so first one that does not share.
    let probe = try bound(storage, length, sharesPort: false, orThrow: fault)
    close(probe)
    var sockets: [Int32] = []
    do throws(ListenFault) {
      for _ in 0..<count {
        let socket = try bound(storage, length, sharesPort: true, orThrow: fault)
        sockets.append(socket)
        guard listen(socket, SOMAXCONN) == 0 else { throw fault() }
        // The first socket picks the port when it is 0; the others bind to what it picked.
        _ = withAddress(&storage) { getsockname(socket, $0, &length) }
      }
    } catch {
      for socket in sockets { close(socket) }
      throw error
    }
    return (sockets, ListenAddress(host: address.host, port: port(of: storage)))
  }

  private static func bound(
    _ storage: sockaddr_storage, _ length: socklen_t, sharesPort: Bool, orThrow fault: () -> ListenFault
  ) throws(ListenFault) -> Int32 {
    // Non-blocking: a client may be gone between the readiness and the accept.
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(Int32(storage.ss_family), type, 0)
    guard descriptor >= 0 else { throw fault() }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    // Connections of an earlier process that wait out their time must not keep the port from a restart.
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
    if sharesPort { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) }
    var storage = storage
    guard withAddress(&storage, { bind(descriptor, $0, length) }) == 0 else {
      let fault = fault()
      close(descriptor)
      throw fault
    }
    return descriptor
  }

  private static func reason(_ code: Int32) -> String {
    switch code {
    case EADDRINUSE: "the address is in use by another process"
    case EACCES: "no permission (ports below 1024 need a privilege)"
    case EADDRNOTAVAIL: "no interface of this machine has the address"
    default: String(cString: strerror(code))
    }
  }

  private static func port(of storage: sockaddr_storage) -> UInt16 {
    // The port stands at the same place in both families.
    withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
  }

  private static func withAddress<Result>(
    _ storage: inout sockaddr_storage, _ body: (UnsafeMutablePointer<sockaddr>) -> Result
  ) -> Result {
    withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
    }
  }

  // MARK: - The end of listening

  /// A connection taken from a backlog.
  struct Accepted {
    let descriptor: Int32
    private var storage: sockaddr_storage
    private let length: socklen_t

    fileprivate init(descriptor: Int32, storage: sockaddr_storage, length: socklen_t) {
      self.descriptor = descriptor
      self.storage = storage
      self.length = length
    }

    func withAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
      var storage = storage
      return ListenSocket.withAddress(&storage) { body($0, length) }
    }
  }

  /// - Returns: nil when the backlog is empty.
  static func accept(_ socket: Int32) -> Accepted? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // `accept4` is not in Swift's Glibc module; nothing is forked between the two calls.
    let descriptor = withAddress(&storage) { Glibc.accept(socket, $0, &length) }
    guard descriptor >= 0 else { return nil }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    return Accepted(descriptor: descriptor, storage: storage, length: length)
  }

  /// Makes the kernel drop new connection attempts (their clients try again, and reach the next instance or are told
  /// that nobody listens) while those under way still complete. Closing a socket whose backlog may still grow would
  /// reset connections that their clients consider open.
  static func refuseNewHandshakes(_ socket: Int32) {
    // linux/filter.h is not in Swift's Glibc module; these are its two structures.
    struct Instruction {
      var code: UInt16
      var whenTrue: UInt8 = 0
      var whenFalse: UInt8 = 0
      var operand: UInt32
    }
    struct Program {
      var count: UInt16
      var instructions: UnsafeMutablePointer<Instruction>?
    }
    let attachFilter: Int32 = 26
    var instructions = [
      Instruction(code: 0x30, operand: 13),  // load the byte of TCP flags
      Instruction(code: 0x45, whenTrue: 0, whenFalse: 1, operand: 0x02),  // SYN?
      Instruction(code: 0x06, operand: 0),  // drop
      Instruction(code: 0x06, operand: 0xFFFF_FFFF),  // keep whole
    ]
    instructions.withUnsafeMutableBufferPointer { buffer in
      var program = Program(count: UInt16(buffer.count), instructions: buffer.baseAddress)
      // Where it is not allowed the window stays open for the microseconds between the last accept and the close.
      _ = setsockopt(socket, SOL_SOCKET, attachFilter, &program, socklen_t(MemoryLayout<Program>.size))
    }
  }
}
