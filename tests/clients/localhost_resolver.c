/* Resolves every name below "localhost" to 127.0.0.1, in this process only.
 *
 * Virtual-hosted addressing puts the bucket into the host name
 * (bucket.localhost). RFC 6761 section 6.3 asks resolvers to answer such names
 * with the loopback address, but glibc without nss-myhostname asks DNS instead
 * and fails. The tests may not depend on the machine's /etc/hosts, so client
 * processes are started with this library in LD_PRELOAD where the system
 * itself does not resolve such names (scripts/with-localhost decides).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *,
                                    struct addrinfo **);

static int is_below_localhost(const char *name) {
    static const char suffix[] = ".localhost";
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        length--;
    size_t suffix_length = sizeof suffix - 1;
    return length > suffix_length &&
           strncasecmp(name + length - suffix_length, suffix, suffix_length) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    getaddrinfo_function next = (getaddrinfo_function)dlsym(RTLD_NEXT, "getaddrinfo");
    if (next == NULL)
        return EAI_SYSTEM;
    if (node == NULL || !is_below_localhost(node))
        return next(node, service, hints, result);
    if (hints != NULL && hints->ai_family == AF_INET6)
        return EAI_NONAME; /* the test servers listen on IPv4 only */
    return next("127.0.0.1", service, hints, result);
}
