import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.manipulation.Filter;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * Runs JUnit 4 classes, one after the other, and prints a line of tab-separated words a test.
 *
 * <p>{@code -Dskip=Class.method,...} with simple names of classes.
 */
public final class RunTests {
    private RunTests() {}

    public static void main(String[] classes) throws Exception {
        PrintStream out =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        // Whatever the clients print is not a result.
        System.setOut(System.err);
        JUnitCore core = new JUnitCore();
        core.addListener(new Listener(out));
        List<String> skipped = Arrays.asList(System.getProperty("skip", "").split(","));
        for (String name : classes) {
            core.run(Request.aClass(Class.forName(name)).filterWith(new AllBut(skipped)));
        }
        out.println("@end");
        System.exit(0);
    }

    private static final class AllBut extends Filter {
        private final List<String> skipped;

        AllBut(List<String> skipped) {
            this.skipped = skipped;
        }

        @Override
        public boolean shouldRun(Description test) {
            if (!test.isTest()) {
                return true;
            }
            return !skipped.contains(
                test.getTestClass().getSimpleName() + "." + test.getMethodName());
        }

        @Override
        public String describe() {
            return "all but " + skipped;
        }
    }

    private static final class Listener extends RunListener {
        private final PrintStream out;
        private String failure;
        private long startedAt;

        Listener(PrintStream out) {
            this.out = out;
        }

        @Override
        public void testStarted(Description test) {
            failure = null;
            startedAt = System.nanoTime();
        }

        @Override
        public void testFailure(Failure failed) {
            failure = String.valueOf(failed.getException());
            failed.getException().printStackTrace();
            // A class whose preparation fails has no test of its own.
            if (failed.getDescription().getMethodName() == null) {
                line("failed", failed.getDescription());
            }
        }

        @Override
        public void testAssumptionFailure(Failure failed) {
            failure = "assumption: " + failed.getMessage();
        }

        @Override
        public void testIgnored(Description test) {
            failure = "marked @Ignore by its authors";
            line("ignored", test);
        }

        @Override
        public void testFinished(Description test) {
            line(failure == null ? "passed" : "failed", test);
        }

        private void line(String outcome, Description test) {
            long millis = startedAt == 0 ? 0 : (System.nanoTime() - startedAt) / 1_000_000;
            String reason = failure == null ? "" : failure.replaceAll("[\\t\\r\\n]+", " ");
            out.println(
                String.join(
                    "\t",
                    "@test",
                    outcome,
                    test.getClassName(),
                    String.valueOf(test.getMethodName()),
                    String.valueOf(millis),
                    reason));
        }
    }
}
