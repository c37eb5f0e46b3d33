// The native launcher: carries out the recipe of a box (recipe.py lists the steps) and watches over it.
//
//     _launcher CONTROL_FD [CGROUP.PROCS...]
//
// It joins the groups at once, then waits on the control socket for one message that brings a memfd with
// the recipe, the command's 0, 1 and 2, and perhaps the folder of a v2 cgroup. Three processes follow:
//   main()   outside the box; kills it when the supervisor is gone or shuts its end, and reaps it.
//   init()   pid 1 of the box: builds it, forks the command, reaps orphans, passes on signals.
//   become() turns into the command.
// All three write to the control socket: "main", "started", "warned|failed STAGE ERRNO PATH",
// "ended STATUS SURVIVORS". The recipe is text: FLAGS UID GID, then steps as NAME COUNT ARGUMENT... "".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifndef SOURCE_MARK
#define SOURCE_MARK "resile-launcher of unknown source"
#endif
#define SLOTS_MAX 256
// The numbers and flags of the mount calls are the same everywhere; older libc headers lack them.
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, SETATTR = 442, LANDLOCK_CREATE = 444, LANDLOCK_ADD,
       LANDLOCK_RESTRICT, CLONE3 = 435, PIDFD_OPEN = 434, CLOSE_RANGE = 436 };
enum { SET_FLAG = 0, SET_STRING = 1, CMD_CREATE = 6, RDONLY = 1, NOSUID = 2, NODEV = 4, RECURSIVE = 0x8000 };
struct attributes { uint64_t set, clear, propagation, userns; };
struct step { const char *name; int count; char **args; };

const char version[] = SOURCE_MARK;  // Python looks for it, to know a stale binary.
static int control, slots[SLOTS_MAX], slot_count, stdio[3], lifeline[2], failure_fd = -1;
static struct step *steps;
static int step_count;
static mode_t old_umask;

static void tell(const char *format, ...) {
  char text[8192];
  va_list list;
  va_start(list, format);
  int size = vsnprintf(text, sizeof text, format, list), kept = size < (int)sizeof text ? size : (int)sizeof text - 1;
  va_end(list);
  while (send(control, text, kept, MSG_NOSIGNAL) < 0 && errno == EINTR);
}
static void fail(const char *stage, const char *path) {
  tell("failed %s %d %s", stage, errno, path);
  if (failure_fd >= 0 && write(failure_fd, "x", 1) < 0) _exit(126);
  _exit(125);
}
static int must(long result, const char *stage, const char *path) {
  if (result < 0) fail(stage, path);
  return (int)result;
}
static void put(const char *path, const char *text, const char *stage) {
  int fd = must(open(path, O_WRONLY | O_CLOEXEC), stage, path);
  must(write(fd, text, strlen(text)), stage, path);
  close(fd);
}
static uint64_t number(const char *text) { return strtoull(text, 0, 10); }

// Give one mount, or with RECURSIVE all below it too, further attributes: they are never taken away.
static int restrict_mount(int fd, const char *path, unsigned flags, uint64_t set) {
  struct attributes attributes = {.set = set};
  return (int)syscall(SETATTR, fd, path, flags, &attributes, sizeof attributes);
}
static void make_parents(const char *path) {
  char copy[4096];
  if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) { errno = ENAMETOOLONG; fail("place", path); }
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(copy, 0755) && errno != EEXIST && errno != EROFS) fail("place", path);
    *slash = '/';
  }
}

// Steps of init(). Each gives -1 and errno, or ends the box itself.
static int do_overlay(char **args, int count) {
  static const char *keys[] = {"lowerdir", "upperdir", "workdir"};
  int fs = must(syscall(FSOPEN, "overlay", 1), "overlay", args[0]);
  for (int i = 0; i < count; i++) {
    char text[64], *equals = i < 3 ? 0 : strchr(args[i], '=');
    if (i < 3) {  // By descriptor, as a path would need its commas and colons escaped.
      int fd = must(open(args[i], O_PATH | O_DIRECTORY | O_CLOEXEC), "overlay", args[i]);
      snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
      must(syscall(FSCONFIG, fs, SET_STRING, keys[i], text, 0), "overlay", args[i]);
    } else if (equals) {
      *equals = 0;
      must(syscall(FSCONFIG, fs, SET_STRING, args[i], equals + 1, 0), "overlay", args[i]);
    } else {
      must(syscall(FSCONFIG, fs, SET_FLAG, args[i], 0, 0), "overlay", args[i]);
    }
  }
  must(syscall(FSCONFIG, fs, CMD_CREATE, 0, 0, 0), "overlay", args[0]);
  return slots[slot_count++] = must(syscall(FSMOUNT, fs, 1, NOSUID | NODEV), "overlay", args[0]);
}
static int do_tree(char **args) {  // PATH ATTRIBUTES
  int fd = (int)syscall(OPEN_TREE, AT_FDCWD, args[0], 1 | O_CLOEXEC | RECURSIVE);
  slots[slot_count++] = fd;
  return fd < 0 ? -1 : restrict_mount(fd, "", AT_EMPTY_PATH | RECURSIVE, number(args[1]));
}
static int place(int fd, const char *path) {  // Makes the path where it lies on an empty file system.
  struct stat status;
  if (fd < 0) return 0;  // Its `?tree` found nothing.
  if (!syscall(MOVE_MOUNT, fd, "", AT_FDCWD, path, 0x14)) return 0;
  if (errno != ENOENT) return -1;
  must(fstat(fd, &status), "place", path);
  make_parents(path);
  if (S_ISDIR(status.st_mode)) must(mkdir(path, 0755), "place", path);
  else close(must(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644), "place", path));
  return (int)syscall(MOVE_MOUNT, fd, "", AT_FDCWD, path, 0x14);
}
static int do_hide(const char *path) {
  struct stat status;
  if (stat(path, &status)) return -1;
  if (S_ISDIR(status.st_mode)) return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m");
  return place((int)syscall(OPEN_TREE, AT_FDCWD, "/dev/null", 1 | O_CLOEXEC), path);
}
static int do_proc(void) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (!mount("proc", "/proc", "proc", flags, 0)) return 0;
  tell("warned proc %d /proc", errno);  // A container around us covers parts of its own.
  return mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,mode=555");
}
static int do_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
  return result;
}
static void build(const struct step *step) {
  const char *name = step->name + (*step->name == '?');
  char **args = step->args;
  int result = -1;
  errno = EINVAL;
  if (slot_count >= SLOTS_MAX) fail("recipe", "too many mounts");
  if (!strcmp(name, "private")) result = mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
  else if (!strcmp(name, "overlay")) result = do_overlay(args, step->count);
  else if (!strcmp(name, "tree")) result = do_tree(args);
  else if (!strcmp(name, "lock")) result = restrict_mount(AT_FDCWD, "/", RECURSIVE, RDONLY | NOSUID);
  else if (!strcmp(name, "tmpfs")) result = mount("tmpfs", args[0], "tmpfs", MS_NOSUID | MS_NODEV, args[1]);
  else if (!strcmp(name, "place")) result = place(slots[number(args[0]) % SLOTS_MAX], args[1]);
  else if (!strcmp(name, "hide")) result = do_hide(args[0]);
  else if (!strcmp(name, "folder")) result = mkdir(args[0], 0755);
  else if (!strcmp(name, "link")) result = symlink(args[0], args[1]);
  else if (!strcmp(name, "proc")) result = do_proc();
  else if (!strcmp(name, "seal")) result = restrict_mount(AT_FDCWD, args[0], 0, RDONLY);
  else if (!strcmp(name, "loopback")) result = do_loopback();
  if (result < 0 && *step->name != '?') fail(name, step->count ? args[0] : "");
}

// Steps of become().
static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int i = 0; i < 64; i++)
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) && errno != EINVAL) fail("capabilities", "");
  must(syscall(SYS_capset, &header, none), "capabilities", "");
}
static void do_limit(char **args) {  // RESOURCE VALUE
  struct rlimit limit;
  rlim_t value = number(args[1]);
  getrlimit((int)number(args[0]), &limit);
  limit.rlim_max = limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
  must(setrlimit((int)number(args[0]), &limit), "limit", args[0]);
}
static void do_allow(int ruleset, char **args, int is_optional) {  // ACCESS PATH
  struct { uint64_t access; int32_t fd; } __attribute__((packed)) rule = {number(args[0]), 0};
  struct stat status;
  rule.fd = open(args[1], O_PATH | O_CLOEXEC);
  if (rule.fd < 0 && is_optional) return;
  must(rule.fd, "landlock", args[1]);
  // Only these rights mean something for what is no folder: execute, write, read, truncate, ioctl.
  if (!fstat(rule.fd, &status) && !S_ISDIR(status.st_mode)) rule.access &= 1 | 2 | 4 | 1 << 14 | 1 << 15;
  must(syscall(LANDLOCK_ADD, ruleset, 1, &rule, 0), "landlock", args[1]);
  close(rule.fd);
}
static int do_seccomp(char **args) {  // FLAGS HEX
  static struct sock_filter filter[4096];
  struct sock_fprog program = {.len = (unsigned short)(strlen(args[1]) / 16), .filter = filter};
  for (size_t i = 0; i < program.len * 8u && i < sizeof filter; i++) {
    char pair[3] = {args[1][2 * i], args[1][2 * i + 1], 0};
    ((unsigned char *)filter)[i] = (unsigned char)strtoul(pair, 0, 16);
  }
  unsigned long flags = number(args[0]);
  long fd = syscall(SYS_seccomp, 1, flags, &program);
  if (fd < 0 && errno == EINVAL) fd = syscall(SYS_seccomp, 1, flags & ~32ul, &program);  // Before Linux 5.19.
  must(fd, "seccomp", "");
  return flags & 8 ? (int)fd : -1;
}
static void send_main(int fd) {  // The kernel adds who we are, as the supervisor knows us.
  union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } extra;
  struct iovec text = {"main", 4};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = extra.space;
    message.msg_controllen = sizeof extra.space;
    extra.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&extra.header), &fd, sizeof fd);
  }
  must(sendmsg(control, &message, MSG_NOSIGNAL), "control", "");
}
static void execute(char **argv, char **env) {
  char path[8192], *folders = "/usr/local/bin:/usr/bin:/bin";
  int error = ENOENT;
  for (char **each = env; *each; each++) if (!strncmp(*each, "PATH=", 5)) folders = *each + 5;
  if (strchr(argv[0], '/')) { execve(argv[0], argv, env); fail("exec", argv[0]); }
  for (char *next; folders; folders = next) {
    int length = (int)strcspn(folders, ":");
    next = folders[length] ? folders + length + 1 : 0;
    if (snprintf(path, sizeof path, "%.*s%s%s", length, folders, length ? "/" : "", argv[0]) >= (int)sizeof path) continue;
    execve(path, argv, env);
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
  }
  errno = error;
  fail("exec", argv[0]);
}
static void become(struct step *step) {
  int ruleset = -1, listener = -1;
  char **env = 0;
  sigset_t none;
  for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
  must(setsid(), "session", "");
  umask(old_umask);
  for (int i = 0; i < 3; i++) must(dup2(stdio[i], i), "files", "");
  must(syscall(CLOSE_RANGE, 3, ~0u, 4), "files", "");  // 4: mark them to be closed by exec.
  for (; step < steps + step_count; step++) {
    const char *name = step->name + (*step->name == '?');
    if (!strcmp(name, "limit")) do_limit(step->args);
    else if (!strcmp(name, "capabilities")) drop_capabilities();
    else if (!strcmp(name, "cwd")) must(chdir(step->args[0]), "cwd", step->args[0]);
    else if (!strcmp(name, "privileges")) must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges", "");
    else if (!strcmp(name, "landlock")) {  // FILES NETWORK SCOPES SIZE: a kernel refuses a bigger one than it knows.
      uint64_t handled[3] = {number(step->args[0]), number(step->args[1]), number(step->args[2])};
      ruleset = must(syscall(LANDLOCK_CREATE, handled, number(step->args[3]), 0), "landlock", "");
    } else if (!strcmp(name, "allow")) do_allow(ruleset, step->args, *step->name == '?');
    else if (!strcmp(name, "restrict")) must(syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock", "");
    else if (!strcmp(name, "seccomp")) listener = do_seccomp(step->args);
    else if (!strcmp(name, "environment")) env = step->args;
    else if (!strcmp(name, "execute")) {
      send_main(listener);
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, 0);
      execute(step->args, env);
    } else { errno = EINVAL; fail("recipe", name); }
  }
  fail("recipe", "no command");
}

static void reap(pid_t command, int *has_ended) {
  int status, end = -1;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) if (pid == command) end = status;
  if (end < 0 || *has_ended) return;
  *has_ended = 1;
  tell("ended %d %d", end, !kill(-1, 0));
}
static void init(const char *uid, const char *gid, int is_user) {
  int exec_pipe[2], has_ended = 0;
  char text[64];
  sigset_t all;
  struct step *step = steps;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // The lifeline tells if it came too late.
  close(lifeline[1]);
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, 0);
  if (is_user) {
    put("/proc/self/setgroups", "deny", "user");
    snprintf(text, sizeof text, "%s %s 1", uid, uid);
    put("/proc/self/uid_map", text, "user");
    snprintf(text, sizeof text, "%s %s 1", gid, gid);
    put("/proc/self/gid_map", text, "user");
  }
  old_umask = umask(022);
  for (; step < steps + step_count && strcmp(step->name, "command"); step++) build(step);
  prctl(PR_SET_DUMPABLE, 0);  // What runs in the box shall not look into its pid 1.
  must(pipe2(exec_pipe, O_CLOEXEC), "files", "");
  int child_fd = must(signalfd(-1, &all, SFD_CLOEXEC), "files", "");
  pid_t command = must(fork(), "fork", "");
  if (!command) { failure_fd = exec_pipe[1]; become(step + 1); }
  close(exec_pipe[1]);
  for (int i = 0; i < 3; i++) close(stdio[i]);
  drop_capabilities();
  if (read(exec_pipe[0], text, 1) != 0) _exit(125);
  tell("started");
  for (struct signalfd_siginfo info;;) {
    struct pollfd ready[] = {{control, POLLIN | POLLRDHUP, 0}, {child_fd, POLLIN, 0}, {lifeline[0], POLLIN, 0}};
    if (poll(ready, 3, -1) < 0) continue;
    if (ready[2].revents || ready[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) _exit(0);
    if (ready[0].revents) {
      ssize_t size = recv(control, text, sizeof text - 1, MSG_DONTWAIT);
      text[size > 0 ? size : 0] = 0;
      if (!strncmp(text, "signal ", 7) && !has_ended) kill(command, (int)number(text + 7));
    }
    if (ready[1].revents && read(child_fd, &info, sizeof info) > 0) reap(command, &has_ended);
  }
}

static char *receive(int *cgroup_fd) {  // Wait for the recipe; give it as it lies in memory.
  union { char space[CMSG_SPACE(5 * sizeof(int))]; struct cmsghdr header; } extra;
  char text[16];
  struct iovec vector = {text, sizeof text};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = extra.space, .msg_controllen = sizeof extra.space};
  struct stat status;
  if (recvmsg(control, &message, MSG_CMSG_CLOEXEC) <= 0) _exit(0);  // Parked, and not wanted any more.
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  int fds[5] = {-1, -1, -1, -1, -1};
  if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(4 * sizeof(int))) { errno = EBADMSG; fail("control", ""); }
  memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
  memcpy(stdio, fds + 1, sizeof stdio);
  *cgroup_fd = fds[4];
  must(fstat(fds[0], &status), "recipe", "");
  char *recipe = mmap(0, (size_t)status.st_size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
  if (recipe == MAP_FAILED || !status.st_size) fail("recipe", "");
  close(fds[0]);
  char **words = calloc((size_t)status.st_size, sizeof *words), *end = recipe + status.st_size, *at = recipe;
  steps = calloc((size_t)status.st_size / 4 + 1, sizeof *steps);
  if (!words || !steps) fail("recipe", "");
  for (int i = 0; i < 3 && at < end; i++) at += strlen(at) + 1;
  while (at < end) {
    struct step *step = &steps[step_count++];
    step->name = at;
    at += strlen(at) + 1;
    step->count = (int)number(at);
    at += strlen(at) + 1;
    step->args = words;
    for (int i = 0; i <= step->count && at < end; i++, at += strlen(at) + 1) *words++ = i < step->count ? at : 0;
  }
  return recipe;
}
int main(int argc, char **argv) {
  struct ucred supervisor = {.pid = 0};
  socklen_t size = sizeof supervisor;
  int cgroup_fd = -1, box_fd = -1;
  if (argc < 2) return 2;
  control = atoi(argv[1]);
  for (int i = 2; i < argc; i++) put(argv[i], "0", "cgroup");
  must(getsockopt(control, SOL_SOCKET, SO_PEERCRED, &supervisor, &size), "control", "");
  int watched_fd = must(syscall(PIDFD_OPEN, supervisor.pid, 0), "control", "");
  char *flags = receive(&cgroup_fd), *uid = flags + strlen(flags) + 1, *gid = uid + strlen(uid) + 1;
  must(pipe2(lifeline, O_CLOEXEC), "files", "");
  struct clone_args clone = {.flags = number(flags) | CLONE_PIDFD, .pidfd = (uintptr_t)&box_fd, .exit_signal = SIGCHLD};
  if (cgroup_fd >= 0) { clone.flags |= CLONE_INTO_CGROUP; clone.cgroup = (uint64_t)cgroup_fd; }
  pid_t box = must(syscall(CLONE3, &clone, sizeof clone), "namespaces", "");
  if (!box) init(uid, gid, !!(number(flags) & CLONE_NEWUSER));
  for (int i = 0; i < 3; i++) close(stdio[i]);
  close(lifeline[0]);
  struct pollfd ready[] = {{control, POLLRDHUP, 0}, {watched_fd, POLLIN, 0}, {box_fd, POLLIN, 0}};
  while (poll(ready, 3, -1) < 0 && errno == EINTR);
  if (!ready[2].revents) kill(box, SIGKILL);
  while (waitpid(box, 0, 0) < 0 && errno == EINTR);  // Ends when all that was in the box has ended.
  return version[0] == 0;
}
