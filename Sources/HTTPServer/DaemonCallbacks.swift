internal import CMicroHTTPD

/// The C functions that libmicrohttpd calls, all on the thread of the daemon's loop. In a file without an actor's
/// isolation: a closure that inherits one traps when C calls it.
enum DaemonCallbacks {
  /// - Returns: options that hold `daemon` without retaining it; it has to outlive the library's daemon.
  static func options(for daemon: Daemon) -> mhd_daemon_options {
    var options = mhd_daemon_options()
    options.context = Unmanaged.passUnretained(daemon).toOpaque()
    // Before the library spends memory on the connection.
    options.accept = { context, address, _ in
      guard let address else { return .NO }
      return DaemonCallbacks.daemon(context).gate.admits(Peer(IPAddress(address))) ? .YES : .NO
    }
    options.connection_changed = { context, handle, slot, change in
      guard let handle, let slot else { return }
      let daemon = DaemonCallbacks.daemon(context)
      if change == UInt32(MHD_CHANGE_STARTED) {
        slot.pointee = Unmanaged.passRetained(daemon.opened(handle)).toOpaque()
      } else if let connection = slot.pointee {
        daemon.closed(Unmanaged<Connection>.fromOpaque(connection).takeRetainedValue())
      }
    }
    options.request_line = { context, target, handle in
      guard let target, let handle, let pointer = mhd_connection_context(handle) else { return nil }
      let connection = Unmanaged<Connection>.fromOpaque(pointer).takeUnretainedValue()
      // Taken here, before the library decodes it in place; bytes that are not UTF-8 are refused later as not ASCII.
      let exchange = Exchange(
        daemon: DaemonCallbacks.daemon(context), connection: connection, handle: handle,
        target: String(cString: target))
      connection.exchange = exchange
      // Returned as the request's context; given back in `completed`.
      return Unmanaged.passRetained(exchange).toOpaque()
    }
    // Neither retains: the context's reference lives until `completed`, which is always the last call.
    options.handle = { _, _, _, method, version, upload, uploadBytes, slot in
      guard let method, let version, let uploadBytes, let pointer = slot?.pointee else { return .NO }
      return Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
        .handle(method: method, version: version, upload: upload, uploadBytes: uploadBytes)
    }
    options.completed = { _, _, slot, why in
      guard let slot, let pointer = slot.pointee else { return }
      slot.pointee = nil
      Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
        .complete(isComplete: why == UInt32(MHD_COMPLETED_OK))
    }
    return options
  }

  private static func daemon(_ context: UnsafeMutableRawPointer?) -> Daemon {
    Unmanaged<Daemon>.fromOpaque(context!).takeUnretainedValue()
  }
}
