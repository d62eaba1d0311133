/*
 * Uses what it is told to, until it is asked to end: burner [--asked 1] [--cpu N] [--memory MIB] …
 *
 * --asked 1     waits for SIGUSR1 first
 * --cpu N       N processes that never wait
 * --memory MIB  that many MiB, each page written once, in steps of one MiB
 * --seconds S   ends by itself after S seconds, with status 0
 * --stubborn 1  does not end when it is asked to
 *
 * Without arguments it only waits.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void end(int signum) { (void)signum; _exit(0); }

static void burn(void) {
    volatile unsigned long spins = 0;
    for (;;) spins++;
}

static void hold(unsigned long mebibytes) {
    for (; mebibytes; mebibytes--) {
        char *page = malloc(1 << 20);
        if (!page) {
            perror("burner: malloc");
            _exit(1);
        }
        memset(page, 1, 1 << 20);
    }
}

static void wait_for_signal(void) {
    sigset_t signals;
    int which;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, 0);
    printf("burner: waits\n");
    fflush(stdout);
    sigwait(&signals, &which);
}

int main(int count, char **words) {
    unsigned long cpus = 0, mebibytes = 0, seconds = 0, asked = 0, stubborn = 0;
    for (int each = 1; each + 1 < count; each += 2) {
        unsigned long figure = strtoul(words[each + 1], 0, 10);
        if (!strcmp(words[each], "--cpu")) cpus = figure;
        else if (!strcmp(words[each], "--memory")) mebibytes = figure;
        else if (!strcmp(words[each], "--seconds")) seconds = figure;
        else if (!strcmp(words[each], "--asked")) asked = figure;
        else if (!strcmp(words[each], "--stubborn")) stubborn = figure;
        else {
            fprintf(stderr, "burner: %s is not known\n", words[each]);
            return 2;
        }
    }
    signal(SIGTERM, stubborn ? SIG_IGN : end);
    signal(SIGINT, end);
    signal(SIGALRM, end);
    if (asked) wait_for_signal();
    alarm(seconds);
    while (cpus--) {
        if (!fork()) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            burn();
        }
    }
    hold(mebibytes);
    printf("burner: ready\n");
    fflush(stdout);
    for (;;) pause();
}
