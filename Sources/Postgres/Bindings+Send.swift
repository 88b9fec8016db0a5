import CLibPQ

extension Bindings {
  /// Binds and executes a prepared statement, asking for the result in binary.
  ///
  /// All pointers are made inside one call, of one buffer that cannot move meanwhile; libpq copies what they point to
  /// before it returns.
  /// - Returns: false when libpq refused, which it does only on a broken connection or without memory.
  func send(prepared name: String, on pointer: OpaquePointer) -> Bool {
    let count = parameters.count
    return buffer.bytes.withUnsafeBytes { bytes in
      withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count) { values in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * count) { numbers in
          // The first half are lengths, the second half formats: 1 is binary.
          // A NULL is a null pointer, so a value of no bytes needs some address.
          let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
          for (index, parameter) in parameters.enumerated() {
            let value = parameter.lengthBytes.map { _ in
              (start + parameter.offset).assumingMemoryBound(to: CChar.self)
            }
            values.initializeElement(at: index, to: value)
            numbers.initializeElement(at: index, to: Int32(parameter.lengthBytes ?? 0))
            numbers.initializeElement(at: count + index, to: 1)
          }
          return PQsendQueryPrepared(
            pointer, name, Int32(count), values.baseAddress, numbers.baseAddress, numbers.baseAddress! + count, 1) == 1
        }
      }
    }
  }
}
