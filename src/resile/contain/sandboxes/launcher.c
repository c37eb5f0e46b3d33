// The native launcher: carries out the recipe of a box (recipe.py lists the steps) and watches over it.
//     _launcher CONTROL_FD [CGROUP.PROCS...]
// It joins the groups at once, then waits on the control socket for one message that brings a memfd with the recipe,
// the command's 0, 1 and 2, and perhaps the folder of a v2 cgroup. Three processes follow:
//   main()   outside the box; kills it when the supervisor is gone or shuts its end, and reaps it.
//   init()   pid 1 of the box: builds it, forks the command, reaps orphans, passes on signals.
//   become() turns into the command.
// They write to the control socket: "main" (with the seccomp listener), "started", "warned|failed STAGE ERRNO PATH",
// "ended STATUS SURVIVORS". The recipe is text: FLAGS, then steps as NAME COUNT ARGUMENT... "".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
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
// The numbers and flags of the newer calls are the same everywhere; older libc headers lack them.
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, PIDFD_OPEN = 434, CLONE3, CLOSE_RANGE, SETATTR = 442 };
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD, LANDLOCK_RESTRICT, SET_FLAG = 0, SET_STRING, CMD_CREATE = 6 };
enum { SLOTS_MAX = 256 };
enum { RDONLY = 1, NOSUID = 2, NODEV = 4, RECURSIVE = 0x8000, CLONE_TREE = 1 | O_CLOEXEC, FOLLOW_FROM_FD = 0x14 };
const char version[] = SOURCE_MARK;  // Python looks for it, to know a stale binary.
static int control, slots[SLOTS_MAX], slot_count, stdio[3], lifeline[2], failure_fd = -1;
static struct { const char *name; int is_optional, count; char **args; } step;  // What is being carried out.
static char *next_at, *recipe_end;  // What is left of the recipe.
static union { char space[CMSG_SPACE(5 * sizeof(int))]; struct cmsghdr header; } sent;  // Descriptors, with a message.
static sigset_t all_signals;

static char *text_of(const char *format, ...) {  // Lasts until the next call.
  static char text[8192];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  return text;
}
static void tell(const char *text) { while (send(control, text, strlen(text), MSG_NOSIGNAL) < 0 && errno == EINTR); }
static int fail(const char *stage, const char *path) {  // Never comes back.
  tell(text_of("failed %s %d %s", stage, errno, path));
  _exit(failure_fd >= 0 && write(failure_fd, "x", 1) < 0 ? 126 : 125);
}
static int must(long result, const char *stage, const char *path) { return result < 0 ? fail(stage, path) : (int)result; }
static void put(const char *path, const char *text, const char *stage) {
  int fd = must(open(path, O_WRONLY | O_CLOEXEC), stage, path);
  must(write(fd, text, strlen(text)), stage, path);
  close(fd);
}
static void close_stdio(void) { for (int i = 0; i < 3; i++) close(stdio[i]); }
static uint64_t number(const char *text) { return strtoull(text, 0, 10); }
static char *next_word(void) { char *word = next_at; next_at += strlen(word) + 1; return word; }
static const char *next_step(void) {
  if (next_at >= recipe_end) fail("recipe", "it ends too early");
  step.name = next_word();
  step.is_optional = *step.name == '?';
  step.name += step.is_optional;
  step.count = (int)number(next_word());
  step.args = calloc((size_t)step.count + 1, sizeof *step.args);
  if (!step.args) fail("recipe", step.name);
  for (int i = 0; i < step.count; i++) step.args[i] = next_word();
  next_word();  // The empty one at its end.
  return step.name;
}

// Steps of init(): each gives -1 and errno, or ends the box itself.
static int restrict_mount(int fd, const char *path, unsigned flags, uint64_t attributes) {
  uint64_t wanted[4] = {attributes};  // To set; none to clear, no propagation, no mapping.
  return (int)syscall(SETATTR, fd, path, flags, wanted, sizeof wanted);
}
static int do_overlay(char **args, int count) {  // LOWER UPPER WORK OPTION...
  static const char *keys[] = {"lowerdir", "upperdir", "workdir"};
  int fs = must(syscall(FSOPEN, "overlay", 1), "overlay", args[0]);
  for (int i = 0; i < count; i++) {  // Folders by descriptor, as a path would need its commas and colons escaped.
    char *value = args[i];
    const char *key = i < 3 ? keys[i] : strsep(&value, "=");
    if (i < 3) value = text_of("/proc/self/fd/%d", must(open(value, O_PATH | O_DIRECTORY | O_CLOEXEC), "overlay", value));
    must(syscall(FSCONFIG, fs, value ? SET_STRING : SET_FLAG, key, value, 0), "overlay", args[i]);
  }
  must(syscall(FSCONFIG, fs, CMD_CREATE, 0, 0, 0), "overlay", args[0]);
  return slots[slot_count++] = must(syscall(FSMOUNT, fs, 1, NOSUID | NODEV), "overlay", args[0]);
}
static int do_tree(char **args) {  // PATH ATTRIBUTES
  int fd = slots[slot_count++] = (int)syscall(OPEN_TREE, AT_FDCWD, args[0], CLONE_TREE | RECURSIVE);
  return fd < 0 ? -1 : restrict_mount(fd, "", AT_EMPTY_PATH | RECURSIVE, number(args[1]));
}
static int place(int fd, const char *path) {  // Makes the path where it lies on an empty file system.
  char *copy = text_of("%s", path);
  struct stat status;
  if (fd < 0 || !syscall(MOVE_MOUNT, fd, "", AT_FDCWD, path, FOLLOW_FROM_FD)) return 0;  // -1: `?tree` found nothing.
  if (errno != ENOENT || fstat(fd, &status)) return -1;
  for (char *slash = strchr(copy + 1, '/'); slash; *slash = '/', slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(copy, 0755) && errno != EEXIST && errno != EROFS) return -1;
  }
  if (S_ISDIR(status.st_mode)) must(mkdir(path, 0755), "place", path);
  else close(must(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644), "place", path));
  return (int)syscall(MOVE_MOUNT, fd, "", AT_FDCWD, path, FOLLOW_FROM_FD);
}
static int do_hide(const char *path) {
  int result = mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m");
  return result && errno == ENOTDIR ? place((int)syscall(OPEN_TREE, AT_FDCWD, "/dev/null", CLONE_TREE), path) : result;
}
static int do_proc(void) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (!mount("proc", "/proc", "proc", flags, 0)) return 0;
  tell(text_of("warned proc %d /proc", errno));  // A container around us covers parts of its own.
  return mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,mode=555");
}
static int do_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  return ioctl(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), SIOCSIFFLAGS, &request);
}
static void build(const char *name, char **args) {
  int result = slot_count < SLOTS_MAX ? 0 : fail("recipe", "too many mounts");
  if (!strcmp(name, "user")) put(args[0], args[1], name);
  else if (!strcmp(name, "private")) result = mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
  else if (!strcmp(name, "overlay")) result = do_overlay(args, step.count);
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
  else fail("recipe", name);
  if (result < 0 && !step.is_optional) fail(name, step.count ? args[!strcmp(name, "place")] : "");
}

// Steps of become().
static void drop_capabilities(void) {
  uint32_t header[] = {0x20080522, 0}, none[6] = {0};  // Version 3; effective, permitted, inheritable, of 64 each.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int i = 0; i < 64; i++) if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) && errno != EINVAL) fail("capabilities", "");
  must(syscall(SYS_capset, header, none), "capabilities", "");
}
static void do_limit(char **args) {  // RESOURCE VALUE
  struct rlimit limit;
  getrlimit((int)number(args[0]), &limit);
  limit.rlim_max = limit.rlim_cur = number(args[1]) < limit.rlim_max ? number(args[1]) : limit.rlim_max;
  must(setrlimit((int)number(args[0]), &limit), "limit", args[0]);
}
static void do_allow(int ruleset, char **args) {  // RIGHTS PATH
  struct { uint64_t rights; int fd; } __attribute__((packed)) rule = {number(args[0]), open(args[1], O_PATH | O_CLOEXEC)};
  struct stat status;
  if (rule.fd < 0 && step.is_optional) return;
  must(rule.fd, "landlock", args[1]);
  // Only these rights mean something for what is no folder: execute, write, read, truncate, ioctl.
  if (!fstat(rule.fd, &status) && !S_ISDIR(status.st_mode)) rule.rights &= 1 | 2 | 4 | 1 << 14 | 1 << 15;
  must(syscall(LANDLOCK_ADD, ruleset, 1, &rule, 0), "landlock", args[1]);
  close(rule.fd);
}
static int nibble(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }
static int do_seccomp(char **args) {  // FLAGS HEX
  char *hex = args[1];  // Becomes the code, in place.
  size_t size = strlen(hex) / 2;
  for (size_t i = 0; i < size; i++) hex[i] = (char)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
  struct sock_fprog program = {.len = (unsigned short)(size / sizeof(struct sock_filter)), .filter = (void *)hex};
  unsigned long flags = number(args[0]);
  long fd = syscall(SYS_seccomp, 1, flags, &program);
  if (fd < 0 && errno == EINVAL) fd = syscall(SYS_seccomp, 1, flags & ~32ul, &program);  // Before Linux 5.19.
  return must(fd, "seccomp", "") && flags & 8 ? (int)fd : -1;
}
static void send_main(int fd) {  // The kernel adds who we are, as the supervisor knows us.
  struct iovec text = {"main", 4};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &sent};
  message.msg_controllen = fd < 0 ? 0 : CMSG_SPACE(sizeof fd);
  sent.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&sent.header), &fd, sizeof fd);
  must(sendmsg(control, &message, MSG_NOSIGNAL), "control", "");
}
static void execute(char **paths, char **argv, char **env) {  // Becomes the first program that is there.
  int error = 0;
  for (; *paths && (!error || error == ENOENT || error == ENOTDIR || error == EACCES); paths++) {
    execve(*paths, argv, env);
    if (error != EACCES || (errno != ENOENT && errno != ENOTDIR)) error = errno;  // One that is there tells more.
  }
  errno = error;
  fail("exec", argv[0]);
}
static void become(mode_t old_umask) {
  int ruleset = -1, listener = -1;
  char **paths = 0, **env = 0;
  for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
  must(setsid(), "session", "");
  umask(old_umask);
  for (int i = 0; i < 3; i++) must(dup2(stdio[i], i), "files", "");
  must(syscall(CLOSE_RANGE, 3, ~0u, 4), "files", "");  // 4: mark them to be closed by exec.
  for (;;) {
    const char *name = next_step();
    char **args = step.args;
    if (!strcmp(name, "limit")) do_limit(args);
    else if (!strcmp(name, "capabilities")) drop_capabilities();
    else if (!strcmp(name, "cwd")) must(chdir(args[0]), "cwd", args[0]);
    else if (!strcmp(name, "privileges")) must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges", "");
    else if (!strcmp(name, "landlock")) {  // FILES NETWORK SCOPES SIZE: no kernel takes more than it knows.
      uint64_t handled[3] = {number(args[0]), number(args[1]), number(args[2])};
      ruleset = must(syscall(LANDLOCK_CREATE, handled, number(args[3]), 0), "landlock", "");
    } else if (!strcmp(name, "allow")) do_allow(ruleset, args);
    else if (!strcmp(name, "restrict")) must(syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock", "");
    else if (!strcmp(name, "seccomp")) listener = do_seccomp(args);
    else if (!strcmp(name, "environment")) env = args;
    else if (!strcmp(name, "programs")) paths = args;
    else if (!strcmp(name, "execute")) {
      send_main(listener);
      sigprocmask(SIG_UNBLOCK, &all_signals, 0);
      execute(paths, args, env);
    } else fail("recipe", name);
  }
}

static void init(void) {
  int exec_pipe[2], status, end = -1, is_told = 0;
  char text[64];
  struct signalfd_siginfo info;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // The lifeline tells if it came too late.
  close(lifeline[1]);
  sigfillset(&all_signals);
  sigprocmask(SIG_SETMASK, &all_signals, 0);
  mode_t old_umask = umask(022);
  while (strcmp(next_step(), "command")) build(step.name, step.args);
  prctl(PR_SET_DUMPABLE, 0);  // What runs in the box shall not look into its pid 1.
  must(pipe2(exec_pipe, O_CLOEXEC), "files", "");
  int child_fd = must(signalfd(-1, &all_signals, SFD_CLOEXEC), "files", "");
  pid_t command = must(fork(), "fork", "");
  if (!command) { failure_fd = exec_pipe[1]; become(old_umask); }
  close(exec_pipe[1]);
  close_stdio();
  drop_capabilities();
  if (read(exec_pipe[0], text, 1) != 0) _exit(125);
  tell("started");
  struct pollfd ready[] = {{control, POLLIN | POLLRDHUP, 0}, {child_fd, POLLIN, 0}, {lifeline[0], POLLIN, 0}};
  for (;;) {
    if (poll(ready, 3, -1) < 0) continue;
    if (ready[2].revents || ready[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) _exit(0);
    memset(text, 0, sizeof text);
    if (ready[0].revents && recv(control, text, sizeof text - 1, MSG_DONTWAIT) > 7 && !is_told)
      kill(command, (int)number(text + 7));  // After "signal ".
    if (ready[1].revents && read(child_fd, &info, sizeof info) > 0)
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) if (pid == command) end = status;
    if (end >= 0 && !is_told++) tell(text_of("ended %d %d", end, !kill(-1, 0)));
  }
}
static int receive(void) {  // Wait for the recipe; give the folder of the cgroup, -1 if there is none.
  char text[16];
  struct iovec vector = {text, sizeof text};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &sent, .msg_controllen = sizeof sent};
  const int *fds = (const int *)CMSG_DATA(&sent.header);
  if (recvmsg(control, &message, MSG_CMSG_CLOEXEC) <= 0) _exit(0);  // Parked, and not wanted any more.
  if (!CMSG_FIRSTHDR(&message) || sent.header.cmsg_len < CMSG_LEN(4 * sizeof(int))) fail("control", "");
  memcpy(stdio, fds + 1, sizeof stdio);
  off_t size = lseek(fds[0], 0, SEEK_END);
  next_at = mmap(0, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
  if (next_at == MAP_FAILED) fail("recipe", "");
  recipe_end = next_at + size;
  return sent.header.cmsg_len < CMSG_LEN(5 * sizeof(int)) ? -1 : fds[4];
}
int main(int argc, char **argv) {
  struct ucred supervisor = {.pid = 0};
  socklen_t size = sizeof supervisor;
  if (argc < 2 || !version[0]) return 2;
  control = atoi(argv[1]);
  for (int i = 2; i < argc; i++) put(argv[i], "0", "cgroup");
  must(getsockopt(control, SOL_SOCKET, SO_PEERCRED, &supervisor, &size), "control", "");
  int watched_fd = must(syscall(PIDFD_OPEN, supervisor.pid, 0), "control", "");
  struct pollfd ready[] = {{control, POLLIN | POLLRDHUP, 0}, {watched_fd, POLLIN, 0}, {-1, POLLIN, 0}};
  while (poll(ready, 2, -1) < 0 && errno == EINTR);
  if (ready[1].revents) return 0;
  int cgroup_fd = receive();
  must(pipe2(lifeline, O_CLOEXEC), "files", "");
  struct clone_args clone = {.pidfd = (uintptr_t)&ready[2].fd, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd};
  clone.flags = number(next_word()) | CLONE_PIDFD | (cgroup_fd < 0 ? 0 : CLONE_INTO_CGROUP);
  pid_t box = must(syscall(CLONE3, &clone, sizeof clone), "namespaces", "");
  if (!box) init();
  close_stdio();
  close(lifeline[0]);
  ready[0].events = POLLRDHUP;
  while (poll(ready, 3, -1) < 0 && errno == EINTR);
  if (!ready[2].revents) kill(box, SIGKILL);
  while (waitpid(box, 0, 0) < 0 && errno == EINTR);  // Ends when all that was in the box has ended.
  return 0;
}
