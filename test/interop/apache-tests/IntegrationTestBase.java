package org.apache.rocketmq.test.base;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.attribute.CQType;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.test.util.MQAdminTestUtils;

/**
 * Takes the place of the class of this name in Apache's own test archive, whose other classes stay
 * as they are: where Apache's starts a name server and three brokers in this JVM, this one hands out
 * handles of those that run already.
 *
 * <p>{@code -Dtarget.namesrv=HOST:PORT}, {@code -Dtarget.brokers=NAME=HOST:PORT,...} (three).
 */
public class IntegrationTestBase {
    private static final String CLUSTER = "DefaultCluster";
    private static final int QUEUES = 8;
    private static final int TOPIC_WAIT_SECONDS = 30;

    /** Set by some tests before a broker starts; no effect on brokers that run. */
    public static volatile int commitLogSize = 100 << 20;

    private static final Queue<String> BROKERS = new ArrayDeque<>();
    private static final Map<String, RemoteBroker> STARTED = new HashMap<>();

    static {
        for (String broker : System.getProperty("target.brokers").split(",")) {
            BROKERS.add(broker);
        }
    }

    static String namesrv() {
        return System.getProperty("target.namesrv");
    }

    public static String createBaseDir() {
        try {
            File folder = Files.createTempDirectory("apache-tests").toFile();
            folder.deleteOnExit();
            return folder.getPath();
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    public static NamesrvController createAndStartNamesrv() {
        NettyServerConfig server = new NettyServerConfig();
        server.setListenPort(portOf(namesrv()));
        return new NamesrvController(new NamesrvConfig(), server);
    }

    public static BrokerController createAndStartBroker(String namesrv) {
        String[] broker = BROKERS.remove().split("=");
        BrokerConfig config = new BrokerConfig();
        config.setBrokerClusterName(CLUSTER);
        config.setBrokerName(broker[0]);
        config.setBrokerIP1(broker[1].substring(0, broker[1].lastIndexOf(':')));
        config.setListenPort(portOf(broker[1]));
        config.setNamesrvAddr(namesrv);
        MessageStoreConfig store = new MessageStoreConfig();
        String root = createBaseDir();
        store.setStorePathRootDir(root);
        store.setStorePathCommitLog(root + File.separator + "commitlog");
        RemoteBroker handle = new RemoteBroker(config, store);
        STARTED.put(broker[0], handle);
        return handle;
    }

    /** A test that restarts a broker with other settings gets the same one, unchanged. */
    public static BrokerController createAndStartBroker(MessageStoreConfig store, BrokerConfig config) {
        return STARTED.get(config.getBrokerName());
    }

    private static int portOf(String address) {
        return Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
    }

    public static void initMQAdmin(String namesrv) throws Exception {
        MQAdminTestUtils.startAdmin(namesrv);
    }

    public static void deleteFile(File file) {
        // nothing is kept in this JVM
    }

    public static boolean initTopic(String topic, String namesrv, String cluster, CQType type) {
        return initTopic(topic, namesrv, cluster, QUEUES, type, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(
        String topic, String namesrv, String cluster, TopicMessageType kind) {
        return initTopic(topic, namesrv, cluster, QUEUES, CQType.SimpleCQ, kind);
    }

    public static boolean initTopic(
        String topic, String namesrv, String cluster, int queues, CQType type) {
        return initTopic(topic, namesrv, cluster, queues, type, TopicMessageType.NORMAL);
    }

    public static boolean initTopic(
        String topic,
        String namesrv,
        String cluster,
        int queues,
        CQType type,
        TopicMessageType kind) {
        Map<String, String> attributes = new HashMap<>();
        if (type != CQType.SimpleCQ) {
            attributes.put("+queue.type", type.toString());
        }
        if (kind != TopicMessageType.NORMAL) {
            attributes.put("+message.type", kind.toString());
        }
        return MQAdminTestUtils.createTopic(
            namesrv, cluster, topic, queues, attributes, TOPIC_WAIT_SECONDS);
    }
}
