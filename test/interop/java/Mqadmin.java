import com.alibaba.fastjson2.JSONObject;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.apache.commons.cli.CommandLine;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.Options;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.srvutil.ServerUtil;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.apache.rocketmq.tools.command.SubCommand;
import org.apache.rocketmq.tools.command.SubCommandException;

/**
 * mqadmin {args}: Apache's own tool, run in this JVM, with what it prints on stdout and stderr. Each
 * verb spends three seconds in shutting its client down, so verbs may run side by side: output is
 * kept apart by thread.
 */
final class Mqadmin {
    /** Where the running verb's thread prints; null on all other threads. */
    private static final ThreadLocal<ByteArrayOutputStream> CAPTURED = new ThreadLocal<>();

    private static final class ByThread extends OutputStream {
        private final PrintStream otherwise;

        ByThread(PrintStream otherwise) {
            this.otherwise = otherwise;
        }

        @Override
        public void write(int octet) {
            ByteArrayOutputStream captured = CAPTURED.get();
            if (captured == null) otherwise.write(octet);
            else captured.write(octet);
        }

        @Override
        public void write(byte[] bytes, int start, int length) {
            ByteArrayOutputStream captured = CAPTURED.get();
            if (captured == null) otherwise.write(bytes, start, length);
            else captured.write(bytes, start, length);
        }

        @Override
        public void flush() throws IOException {
            if (CAPTURED.get() == null) otherwise.flush();
        }
    }

    /** Apache's own table of verbs is open to subclasses only. */
    private static final class Verbs extends MQAdminStartup {
        /** A fresh one for each run: some keep clients in their fields. */
        static SubCommand make(String name) throws Exception {
            for (SubCommand verb : SUB_COMMANDS) {
                if (verb.commandName().equals(name) || name.equals(verb.commandAlias())) {
                    Constructor<? extends SubCommand> maker = verb.getClass().getDeclaredConstructor();
                    return maker.newInstance();
                }
            }
            throw new IllegalArgumentException("mqadmin has no verb " + name);
        }
    }

    static void register(Map<String, Peer.Call> calls) {
        MQAdminStartup.initCommand();
        System.setOut(new PrintStream(new ByThread(System.out), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new ByThread(System.err), true, StandardCharsets.UTF_8));
        calls.put("mqadmin", Mqadmin::run);
    }

    /** What MQAdminStartup.main0 does, without its System.exit on a wrong flag. */
    private static Object run(JSONObject request) throws Exception {
        List<String> words = request.getList("args", String.class);
        SubCommand verb = Verbs.make(words.get(0));
        Options options = verb.buildCommandlineOptions(ServerUtil.buildCommandlineOptions(new Options()));
        CommandLine line = new DefaultParser()
            .parse(options, words.subList(1, words.size()).toArray(new String[0]));
        if (line.hasOption('n')) {
            System.setProperty(MixAll.NAMESRV_ADDR_PROPERTY, line.getOptionValue('n'));
        }
        synchronized (CAPTURED) {
            // Verbs name their clients by the millisecond; two of one name cannot live in one JVM.
            Thread.sleep(20);
        }
        ByteArrayOutputStream captured = new ByteArrayOutputStream();
        CAPTURED.set(captured);
        try {
            verb.execute(line, options, null);
        } catch (SubCommandException error) {
            // main0 prints the stack; the causes' messages are what a test can compare.
            for (Throwable t = error; t != null; t = t.getCause()) System.out.println(t);
        } finally {
            CAPTURED.remove();
        }
        return captured.toString(StandardCharsets.UTF_8);
    }

    private Mqadmin() {
    }
}
