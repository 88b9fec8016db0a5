// What Swift cannot import of libmicrohttpd: its variadic functions, and callbacks that take enumerations a newer
// library may extend (Swift would import them as frozen). Nothing else belongs here.
#pragma once
#include <microhttpd.h>

// Everything a daemon run from outside is started with.
struct mhd_daemon_options {
  void *context;  // first argument of every callback
  int listen_socket;
  unsigned int connections_max;
  unsigned int idle_timeout_seconds;
  size_t connection_memory_bytes_max;
  const char *tls_priorities;  // NULL for a server without TLS
  void *tls_certificate;       // a gnutls_certificate_retrieve_function2
  MHD_AcceptPolicyCallback accept;
  void (*connection_changed)(void *context, struct MHD_Connection *connection, void **connection_context,
                             unsigned int change);
  void *(*request_line)(void *context, const char *target, struct MHD_Connection *connection);
  MHD_AccessHandlerCallback handle;
  void (*completed)(void *context, struct MHD_Connection *connection, void **request_context, unsigned int why);
};

// NULL when the library refuses the options or has no memory or descriptors left.
static inline struct MHD_Daemon *mhd_start(const struct mhd_daemon_options *options) {
  unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)options->tls_priorities},
      {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, options->tls_certificate},
      {MHD_OPTION_END, 0, NULL},
  };
  if (options->tls_priorities)
    flags |= MHD_USE_TLS;
  else
    tls[0] = tls[2];
  // No internal thread: the epoll thread of 0.9.75 stalls when exactly 128 connections are ready at once.
  // Strictness 0: what it would refuse (with a page of its own or none) the first callback refuses as a problem.
  return MHD_start_daemon(
      flags, 0, options->accept, options->context, options->handle,
      options->context, MHD_OPTION_LISTEN_SOCKET, options->listen_socket, MHD_OPTION_CONNECTION_LIMIT,
      options->connections_max, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->connection_memory_bytes_max, MHD_OPTION_NOTIFY_CONNECTION,
      options->connection_changed, options->context, MHD_OPTION_URI_LOG_CALLBACK, options->request_line,
      options->context, MHD_OPTION_NOTIFY_COMPLETED, options->completed, options->context,
      MHD_OPTION_ARRAY, tls, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static inline int mhd_epoll_descriptor(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info ? info->epoll_fd : -1;
}

static inline int mhd_connection_descriptor(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

// A gnutls_session_t, whose handshake is yet to come when the connection is new; NULL without TLS.
static inline void *mhd_tls_session(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info ? info->tls_session : NULL;
}

static inline const struct sockaddr *mhd_client_address(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

static inline void *mhd_connection_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

// Bytes from the request line to the empty line that ends the header section, both included.
static inline size_t mhd_header_section_bytes(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info ? info->header_size : 0;
}

// A response whose length shows when it ends; the macros are casts, which Swift does not import.
static inline struct MHD_Response *mhd_stream_response(size_t block_bytes, MHD_ContentReaderCallback reader,
                                                       void *context, MHD_ContentReaderFreeCallback free) {
  return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block_bytes, reader, context, free);
}

enum { MHD_BODY_COMPLETE = MHD_CONTENT_READER_END_OF_STREAM, MHD_BODY_CUT = MHD_CONTENT_READER_END_WITH_ERROR };

enum { MHD_CHANGE_STARTED = MHD_CONNECTION_NOTIFY_STARTED, MHD_COMPLETED_OK = MHD_REQUEST_TERMINATED_COMPLETED_OK };
